//! Turns sound and images to the features that a multimodal model would take in.

use mistralrs_audio::{Audio, WavError};
use mistralrs_vision::{Image, ImageError};

use crate::ops::conv1d;

const RATE: u32 = 16_000;
/// Samples that give one feature: 10 ms.
const FRAME: usize = 160;
const PATCH: usize = 8;

/// Loudness of each 10 ms of a WAV file, smoothed over its neighbours.
pub fn audio_features(wav: &[u8]) -> Result<Vec<f32>, WavError> {
    let audio = Audio::from_wav(wav)?.to_mono().resample(RATE);
    let loudness: Vec<f32> = audio
        .samples
        .chunks(FRAME)
        .map(|frame| (frame.iter().map(|s| s * s).sum::<f32>() / frame.len() as f32).sqrt())
        .collect();
    Ok(conv1d(&loudness, &[0.25, 0.5, 0.25]))
}

/// Mean brightness of each patch of 8 by 8 pixels of a PPM file, after it was brought
/// to a size of 32 by 32.
pub fn image_features(ppm: &[u8]) -> Result<Vec<f32>, ImageError> {
    const SIZE: usize = 32;
    let planes = Image::from_ppm(ppm)?
        .resize(SIZE, SIZE)
        .pad_to_multiple(PATCH)
        .normalise([0.5; 3], [0.5; 3]);
    let patches = SIZE / PATCH;
    let mut sums = vec![0.0; patches * patches];
    for (i, value) in planes.iter().enumerate() {
        let (x, y) = (i % SIZE, i / SIZE % SIZE);
        sums[y / PATCH * patches + x / PATCH] += value;
    }
    let count = (3 * PATCH * PATCH) as f32;
    Ok(sums.into_iter().map(|sum| sum / count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_and_silent() {
        let audio = Audio {
            rate: RATE,
            channels: 1,
            samples: [vec![0.0; 800], vec![0.5; 800]].concat(),
        };
        let features = audio_features(&audio.to_wav()).unwrap();
        assert_eq!(features.len(), 8);
        assert!(features[0].abs() < 1e-4 && (features[7] - 0.5).abs() < 1e-3);
    }

    #[test]
    fn dark_and_bright() {
        let features = image_features(b"P6 1 2 255\n\0\0\0\xff\xff\xff").unwrap();
        assert_eq!(features.len(), 16);
        assert!(features[0] < -0.9 && features[15] > 0.9);
    }
}
