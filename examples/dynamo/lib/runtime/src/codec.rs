//! Frames: a length of four bytes, then the payload.

/// Return a frame.
pub fn encode(payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

/// Return the payload of the first frame and what comes after it; none if it is not whole.
///
/// ```
/// let frame = dynamo_runtime::codec::encode(b"abc");
/// assert_eq!(dynamo_runtime::codec::decode(&frame), Some((&b"abc"[..], &b""[..])));
/// ```
pub fn decode(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*head) as usize;
    (rest.len() >= length).then(|| rest.split_at(length))
}
