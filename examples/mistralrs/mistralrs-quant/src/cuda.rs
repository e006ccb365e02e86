//! The launchers of `kernels/`. This module holds all unsafe code of the workspace.
#![allow(unsafe_code)]

use std::{
    ffi::{c_char, c_int, c_uint, CStr},
    sync::OnceLock,
};

use crate::CudaStatus;

const ARCH: &str = env!("MISTRALRS_CUDA_ARCH");

extern "C" {
    fn mistralrs_quant_dequantize_q8(
        values: *const i8,
        scales: *const f32,
        out: *mut f32,
        count: c_uint,
        block: c_uint,
    ) -> c_int;
    fn mistralrs_quant_rotate(rows: *mut f32, count: c_uint, dim: c_uint, base: f32) -> c_int;
    fn mistralrs_quant_device_count(count: *mut c_int) -> c_int;
    fn mistralrs_quant_error_text(error: c_int) -> *const c_char;
}

fn check(error: c_int) -> Result<(), String> {
    if error == 0 {
        return Ok(());
    }
    // SAFETY: cudaGetErrorString knows every number, and its texts are static.
    let text = unsafe { CStr::from_ptr(mistralrs_quant_error_text(error)) };
    Err(text.to_string_lossy().into_owned())
}

pub fn status() -> CudaStatus {
    static STATUS: OnceLock<CudaStatus> = OnceLock::new();
    STATUS
        .get_or_init(|| {
            let mut devices = 0;
            // SAFETY: the pointer is valid for the one integer that is stored.
            let error = unsafe { mistralrs_quant_device_count(&mut devices) };
            match (check(error), usize::try_from(devices)) {
                (Err(reason), _) => CudaStatus::NoDevice { arch: ARCH, reason },
                (Ok(()), Ok(devices @ 1..)) => CudaStatus::Ready {
                    arch: ARCH,
                    devices,
                },
                (Ok(()), _) => CudaStatus::NoDevice {
                    arch: ARCH,
                    reason: "no device".into(),
                },
            }
        })
        .clone()
}

fn ready() -> Result<(), String> {
    match status() {
        CudaStatus::Ready { .. } => Ok(()),
        other => Err(other.to_string()),
    }
}

fn count(len: usize) -> Result<c_uint, String> {
    c_uint::try_from(len).map_err(|_| format!("{len} values are too many for one launch"))
}

pub fn dequantize(values: &[i8], scales: &[f32], block: usize) -> Result<Vec<f32>, String> {
    ready()?;
    if scales.len() < values.len().div_ceil(block) {
        return Err("too few scales".into());
    }
    let mut out = vec![0.0; values.len()];
    // SAFETY: `out` has the length of `values`, and there is a scale for each block.
    check(unsafe {
        mistralrs_quant_dequantize_q8(
            values.as_ptr(),
            scales.as_ptr(),
            out.as_mut_ptr(),
            count(values.len())?,
            count(block)?,
        )
    })?;
    Ok(out)
}

/// Rotates a copy, so that a failing launch leaves the rows as they were.
pub fn rotate(rows: &[f32], dim: usize, base: f32) -> Result<Vec<f32>, String> {
    ready()?;
    count(rows.len())?;
    let mut out = rows.to_vec();
    // SAFETY: the kernel touches the `len / dim` whole rows of `out` only.
    check(unsafe {
        mistralrs_quant_rotate(
            out.as_mut_ptr(),
            count(rows.len() / dim)?,
            count(dim)?,
            base,
        )
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_a_text() {
        // 1 is cudaErrorInvalidValue in every release.
        assert_eq!(check(1).unwrap_err(), "invalid argument");
    }

    #[test]
    fn without_a_device_there_is_a_reason() {
        if let CudaStatus::NoDevice { reason, .. } = status() {
            assert!(!reason.is_empty());
            assert!(dequantize(&[1], &[1.0], 32).is_err());
        }
    }
}
