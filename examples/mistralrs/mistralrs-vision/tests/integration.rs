//! The whole way from a file to the input of a model.

use mistralrs_vision::Image;

#[test]
fn file_to_planes() {
    let mut ppm = b"P6 4 4 255\n".to_vec();
    ppm.extend([255, 0, 51].repeat(16));
    let planes = Image::from_ppm(&ppm)
        .unwrap()
        .resize(3, 3)
        .pad_to_multiple(2)
        .normalise([0.5; 3], [0.5; 3]);
    assert_eq!(planes.len(), 3 * 16);
    assert!((planes[0] - 1.0).abs() < 1e-6);
    assert!((planes[16] + 1.0).abs() < 1e-6);
    assert!((planes[32] + 0.6).abs() < 1e-6);
    // The padding.
    assert!((planes[3] + 1.0).abs() < 1e-6);
}

#[test]
fn resizing_keeps_a_gradient() {
    let mut ppm = b"P6 8 1 255\n".to_vec();
    ppm.extend((0..8u8).flat_map(|x| [x * 30; 3]));
    let small = Image::from_ppm(&ppm).unwrap().resize(4, 1);
    let levels: Vec<f32> = (0..4).map(|x| small.pixel(x, 0)[0]).collect();
    assert!(levels.windows(2).all(|pair| pair[0] < pair[1]));
}
