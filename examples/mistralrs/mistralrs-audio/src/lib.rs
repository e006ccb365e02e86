//! Reads WAV files and changes their sampling rate.
//!
//! ```
//! use mistralrs_audio::Audio;
//!
//! let audio = Audio { rate: 8_000, channels: 1, samples: vec![0.0, 0.5] };
//! assert_eq!(Audio::from_wav(&audio.to_wav())?.rate, 8_000);
//! # Ok::<(), mistralrs_audio::WavError>(())
//! ```

use std::fmt;

/// Samples from -1 to 1; those of several channels alternate.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    pub rate: u32,
    pub channels: u16,
    pub samples: Vec<f32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WavError {
    NotWav,
    Truncated,
    Unsupported(String),
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWav => f.write_str("not a WAV file"),
            Self::Truncated => f.write_str("the WAV file ends too early"),
            Self::Unsupported(what) => write!(f, "unsupported WAV file: {what}"),
        }
    }
}

impl std::error::Error for WavError {}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, WavError> {
    let field = bytes.get(at..at + 2).ok_or(WavError::Truncated)?;
    Ok(u16::from_le_bytes([field[0], field[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, WavError> {
    let low = u32::from(u16_at(bytes, at)?);
    Ok(low | u32::from(u16_at(bytes, at + 2)?) << 16)
}

impl Audio {
    /// Reads PCM of 8 or 16 bits, or floats of 32 bits.
    pub fn from_wav(bytes: &[u8]) -> Result<Self, WavError> {
        if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
            return Err(WavError::NotWav);
        }
        let mut format = None;
        let mut rest = &bytes[12..];
        loop {
            let size = u32_at(rest, 4)? as usize;
            let body = rest.get(8..).ok_or(WavError::Truncated)?;
            let body = body.get(..size).ok_or(WavError::Truncated)?;
            match &rest[..4] {
                b"fmt " => {
                    format = Some((
                        u16_at(body, 0)?,
                        u16_at(body, 2)?,
                        u32_at(body, 4)?,
                        u16_at(body, 14)?,
                    ));
                }
                b"data" => {
                    let format =
                        format.ok_or_else(|| WavError::Unsupported("no format chunk".into()))?;
                    return Self::decode(format, body);
                }
                _ => {}
            }
            // Chunks begin at even offsets.
            rest = rest.get(8 + size + size % 2..).ok_or(WavError::Truncated)?;
        }
    }

    fn decode(format: (u16, u16, u32, u16), data: &[u8]) -> Result<Self, WavError> {
        let (kind, channels, rate, bits) = format;
        if channels == 0 || rate == 0 {
            return Err(WavError::Unsupported("no channels or no rate".into()));
        }
        let samples = match (kind, bits) {
            (1, 8) => data
                .iter()
                .map(|byte| (f32::from(*byte) - 128.0) / 128.0)
                .collect(),
            (1, 16) => data
                .chunks_exact(2)
                .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0)
                .collect(),
            (3, 32) => data
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            _ => {
                return Err(WavError::Unsupported(format!(
                    "format {kind} with {bits} bits"
                )))
            }
        };
        Ok(Self {
            rate,
            channels,
            samples,
        })
    }

    /// Writes PCM of 16 bits.
    pub fn to_wav(&self) -> Vec<u8> {
        let size = 2 * self.samples.len() as u32;
        let frame = 2 * self.channels;
        let mut out = Vec::with_capacity(44 + size as usize);
        out.extend(b"RIFF");
        out.extend((36 + size).to_le_bytes());
        out.extend(b"WAVEfmt ");
        out.extend(16u32.to_le_bytes());
        out.extend(1u16.to_le_bytes());
        out.extend(self.channels.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        out.extend((self.rate * u32::from(frame)).to_le_bytes());
        out.extend(frame.to_le_bytes());
        out.extend(16u16.to_le_bytes());
        out.extend(b"data");
        out.extend(size.to_le_bytes());
        for sample in &self.samples {
            let value = (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16;
            out.extend(value.to_le_bytes());
        }
        out
    }

    /// The mean of all channels.
    pub fn to_mono(&self) -> Self {
        let channels = usize::from(self.channels.max(1));
        Self {
            rate: self.rate,
            channels: 1,
            samples: self
                .samples
                .chunks_exact(channels)
                .map(|frame| frame.iter().sum::<f32>() / channels as f32)
                .collect(),
        }
    }

    /// Another rate, by linear interpolation.
    ///
    /// # Panics
    ///
    /// If `rate` is 0.
    pub fn resample(&self, rate: u32) -> Self {
        assert!(rate > 0, "cannot resample to 0 Hz");
        let channels = usize::from(self.channels.max(1));
        let frames = self.samples.len() / channels;
        let length = (frames as u64 * u64::from(rate) / u64::from(self.rate.max(1))) as usize;
        let ratio = f64::from(self.rate) / f64::from(rate);
        let mut samples = Vec::with_capacity(length * channels);
        for frame in 0..length {
            let position = frame as f64 * ratio;
            let left = (position as usize).min(frames - 1);
            let right = (left + 1).min(frames - 1);
            let weight = (position - left as f64) as f32;
            for channel in 0..channels {
                let a = self.samples[left * channels + channel];
                let b = self.samples[right * channels + channel];
                samples.push(a + (b - a) * weight);
            }
        }
        Self {
            rate,
            channels: self.channels,
            samples,
        }
    }

    pub fn seconds(&self) -> f64 {
        let frames = self.samples.len() / usize::from(self.channels.max(1));
        frames as f64 / f64::from(self.rate.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Audio {
        Audio {
            rate: 100,
            channels: 2,
            samples: (0..20).map(|i| i as f32 / 20.0).collect(),
        }
    }

    #[test]
    fn wav_round_trip() {
        let audio = ramp();
        let back = Audio::from_wav(&audio.to_wav()).unwrap();
        assert_eq!((back.rate, back.channels), (100, 2));
        for (a, b) in audio.samples.iter().zip(&back.samples) {
            assert!((a - b).abs() < 1e-4);
        }
    }

    #[test]
    fn unknown_chunks_are_skipped() {
        let wav = ramp().to_wav();
        let mut with_chunk = wav[..12].to_vec();
        with_chunk.extend(b"LIST\x03\x00\x00\x00abc\x00");
        with_chunk.extend(&wav[12..]);
        assert_eq!(Audio::from_wav(&with_chunk), Audio::from_wav(&wav));
    }

    #[test]
    fn bad_files() {
        let wav = ramp().to_wav();
        assert_eq!(Audio::from_wav(b"RIFX"), Err(WavError::NotWav));
        for len in 12..wav.len() {
            assert_eq!(Audio::from_wav(&wav[..len]), Err(WavError::Truncated));
        }
        let mut odd = wav;
        odd[20] = 7;
        assert!(matches!(
            Audio::from_wav(&odd),
            Err(WavError::Unsupported(_))
        ));
    }

    #[test]
    fn mono_is_the_mean() {
        let mono = ramp().to_mono();
        assert_eq!(mono.samples.len(), 10);
        assert!((mono.samples[0] - 0.025).abs() < 1e-6);
    }

    #[test]
    fn resampling_keeps_the_duration() {
        for rate in [50, 100, 200, 333] {
            let out = ramp().resample(rate);
            assert!((out.seconds() - 0.1).abs() <= 1.0 / f64::from(rate));
        }
        let empty = Audio {
            samples: Vec::new(),
            ..ramp()
        };
        assert!(empty.resample(10).samples.is_empty());
    }
}
