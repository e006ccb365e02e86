//! What kserve.proto declares, read from the descriptor set that protoc wrote (protobuf's descriptor.proto).

/// FileDescriptorSet { file = 1 }, FileDescriptorProto { service = 6 }, ServiceDescriptorProto { name = 1, method = 2 }.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kserve.bin"));

/// Return the methods of all services, as SERVICE/METHOD.
pub fn methods() -> Vec<String> {
    let mut found = Vec::new();
    for file in fields(DESCRIPTORS, 1) {
        for service in fields(file, 6) {
            for method in fields(service, 2) {
                found.push(format!("{}/{}", name_of(service), name_of(method)));
            }
        }
    }
    found
}

fn name_of(message: &[u8]) -> String {
    fields(message, 1)
        .first()
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .unwrap_or_default()
}

/// Return the length-delimited fields of a number.
fn fields(message: &[u8], number: u64) -> Vec<&[u8]> {
    let (mut rest, mut found) = (message, Vec::new());
    while let Some(key) = varint(&mut rest) {
        match key & 7 {
            0 => {
                varint(&mut rest);
            }
            2 => {
                let length = varint(&mut rest).unwrap_or(0) as usize;
                let (value, after) = rest.split_at(length.min(rest.len()));
                if key >> 3 == number {
                    found.push(value);
                }
                rest = after;
            }
            other => rest = &rest[rest.len().min(if other == 1 { 8 } else { 4 })..],
        }
    }
    found
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}
