//! A sine must still be that sine after a change of the rate.

use std::f32::consts::TAU;

use mistralrs_audio::Audio;

fn sine(rate: u32) -> Audio {
    Audio {
        rate,
        channels: 1,
        samples: (0..rate / 10)
            .map(|i| (TAU * 100.0 * i as f32 / rate as f32).sin())
            .collect(),
    }
}

#[test]
fn through_a_file_and_to_16_khz() {
    let audio = Audio::from_wav(&sine(48_000).to_wav()).unwrap();
    let resampled = audio.resample(16_000);
    for (a, b) in resampled.samples.iter().zip(&sine(16_000).samples) {
        assert!((a - b).abs() < 1e-3, "{a} {b}");
    }
}
