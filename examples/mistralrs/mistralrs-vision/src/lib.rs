//! Images for vision models: PPM files, resizing, padding and normalisation.
//!
//! ```
//! use mistralrs_vision::Image;
//!
//! let image = Image::from_ppm(b"P6 2 1 255\n\x00\x00\x00\xff\xff\xff")?;
//! assert_eq!(image.resize(1, 1).pixel(0, 0), [0.5; 3]);
//! # Ok::<(), mistralrs_vision::ImageError>(())
//! ```

use std::fmt;

/// Red, green and blue from 0 to 1, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    width: usize,
    height: usize,
    data: Vec<[f32; 3]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageError(&'static str);

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot read the image: {}", self.0)
    }
}

impl std::error::Error for ImageError {}

impl Image {
    /// An image of one colour.
    ///
    /// # Panics
    ///
    /// If a side is 0.
    pub fn filled(width: usize, height: usize, colour: [f32; 3]) -> Self {
        assert!(width > 0 && height > 0, "an image cannot be empty");
        Self {
            width,
            height,
            data: vec![colour; width * height],
        }
    }

    /// Reads a binary PPM file with 255 levels.
    pub fn from_ppm(bytes: &[u8]) -> Result<Self, ImageError> {
        let rest = bytes
            .strip_prefix(b"P6")
            .ok_or(ImageError("no PPM signature"))?;
        let mut pos = 0;
        let mut number = || {
            while rest.get(pos).is_some_and(u8::is_ascii_whitespace) {
                pos += 1;
            }
            let start = pos;
            while rest.get(pos).is_some_and(u8::is_ascii_digit) {
                pos += 1;
            }
            let digits = std::str::from_utf8(&rest[start..pos]).unwrap_or_default();
            digits.parse::<usize>().ok()
        };
        let (width, height, levels) = match (number(), number(), number()) {
            (Some(w), Some(h), Some(l)) if w > 0 && h > 0 => (w, h, l),
            _ => return Err(ImageError("bad header")),
        };
        if levels != 255 {
            return Err(ImageError("not 255 levels"));
        }
        let size = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        let body = size
            .and_then(|size| rest.get(pos + 1..)?.get(..size))
            .ok_or(ImageError("too few pixels"))?;
        Ok(Self {
            width,
            height,
            data: body
                .chunks_exact(3)
                .map(|p| [p[0], p[1], p[2]].map(|c| f32::from(c) / 255.0))
                .collect(),
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    /// # Panics
    ///
    /// If the place is outside.
    pub fn pixel(&self, x: usize, y: usize) -> [f32; 3] {
        assert!(x < self.width && y < self.height, "outside of the image");
        self.data[y * self.width + x]
    }

    /// Another size, by bilinear interpolation between the centres of the pixels.
    ///
    /// # Panics
    ///
    /// If a side is 0.
    pub fn resize(&self, width: usize, height: usize) -> Self {
        let mut out = Self::filled(width, height, [0.0; 3]);
        // Neighbours of a centre, and the weight of the second.
        let around = |i: usize, from: usize, to: usize| {
            let position = ((i as f32 + 0.5) * from as f32 / to as f32 - 0.5).max(0.0);
            let first = (position as usize).min(from - 1);
            (first, (first + 1).min(from - 1), position - first as f32)
        };
        for y in 0..height {
            let (top, bottom, down) = around(y, self.height, height);
            for x in 0..width {
                let (left, right, across) = around(x, self.width, width);
                let mix = |a: [f32; 3], b: [f32; 3], w: f32| -> [f32; 3] {
                    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * w)
                };
                let above = mix(self.pixel(left, top), self.pixel(right, top), across);
                let below = mix(self.pixel(left, bottom), self.pixel(right, bottom), across);
                out.data[y * width + x] = mix(above, below, down);
            }
        }
        out
    }

    /// Adds black at the right and the bottom, so that both sides are multiples.
    ///
    /// # Panics
    ///
    /// If `multiple` is 0.
    pub fn pad_to_multiple(&self, multiple: usize) -> Self {
        let width = self.width.next_multiple_of(multiple);
        let height = self.height.next_multiple_of(multiple);
        let mut out = Self::filled(width, height, [0.0; 3]);
        for (y, row) in self.data.chunks_exact(self.width).enumerate() {
            out.data[y * width..y * width + self.width].copy_from_slice(row);
        }
        out
    }

    /// `(value - mean) / deviation`, one plane after the other as models expect it.
    pub fn normalise(&self, mean: [f32; 3], deviation: [f32; 3]) -> Vec<f32> {
        (0..3)
            .flat_map(|c| {
                self.data
                    .iter()
                    .map(move |pixel| (pixel[c] - mean[c]) / deviation[c])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ppm() {
        let image = Image::from_ppm(b"P6\n1 2\n255\n\xff\x00\x00\x00\x00\xff").unwrap();
        assert_eq!((image.width(), image.height()), (1, 2));
        assert_eq!(image.pixel(0, 0), [1.0, 0.0, 0.0]);
        assert_eq!(image.pixel(0, 1), [0.0, 0.0, 1.0]);
    }

    #[test]
    fn refuses_bad_ppm() {
        for bad in [
            &b""[..],
            b"P5 1 1 255\nx",
            b"P6 0 1 255\n",
            b"P6 1 1 65535\nxxxxxx",
            b"P6 1 1 255\nxx",
            b"P6 1 1 255",
            b"P6 99999999999 99999999999 255\nxxx",
        ] {
            assert!(Image::from_ppm(bad).is_err());
        }
    }

    #[test]
    fn same_size_is_the_same_image() {
        let mut image = Image::filled(3, 2, [0.25; 3]);
        image.data[4] = [1.0, 0.5, 0.0];
        assert_eq!(image.resize(3, 2), image);
    }

    #[test]
    fn padding_is_black() {
        let out = Image::filled(3, 5, [1.0; 3]).pad_to_multiple(4);
        assert_eq!((out.width(), out.height()), (4, 8));
        assert_eq!(out.pixel(2, 4), [1.0; 3]);
        assert_eq!(out.pixel(3, 0), [0.0; 3]);
        assert_eq!(out.pixel(0, 5), [0.0; 3]);
    }
}
