use dynamo_runtime::codec::{decode, encode};

#[test]
fn frames_come_out_in_order() {
    let bytes = [encode(b"one"), encode(b"two")].concat();
    let (first, rest) = decode(&bytes).unwrap();
    let (second, rest) = decode(rest).unwrap();
    assert_eq!((first, second, rest.len()), (&b"one"[..], &b"two"[..], 0));
}

#[test]
fn a_frame_that_is_not_whole_waits() {
    assert_eq!(decode(&encode(b"one")[..5]), None);
}
