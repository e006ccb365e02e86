//! The head of GGUF files: signature, version, counts and metadata.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use crate::ModelError;

const MAGIC: [u8; 4] = *b"GGUF";
/// The type of strings in the metadata.
const STRING: u32 = 8;
/// Longer strings in the metadata are taken for damage.
const MAX_STRING: u64 = 16 << 20;

/// What the toy model takes from a GGUF file. It skips the tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gguf {
    pub version: u32,
    pub tensors: u64,
    /// Entries of the metadata that are strings.
    pub strings: Vec<(String, String)>,
}

impl Gguf {
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let describe = |what: String| ModelError::new(format!("{}: {what}", path.display()));
        if !path.is_file() {
            return Err(describe("no such file".into()));
        }
        let file = File::open(path).map_err(|e| describe(e.to_string()))?;
        Self::read(&mut BufReader::new(file)).map_err(|e| {
            describe(match e.kind() {
                io::ErrorKind::UnexpectedEof => "the GGUF file ends too early".into(),
                _ => e.to_string(),
            })
        })
    }

    pub fn read(input: &mut impl Read) -> io::Result<Self> {
        if array::<4>(input)? != MAGIC {
            return Err(invalid("not a GGUF file (the magic number is wrong)"));
        }
        let version = u32::from_le_bytes(array(input)?);
        if !(2..=3).contains(&version) {
            return Err(invalid(&format!("GGUF version {version} is not supported")));
        }
        let tensors = number(input)?;
        let mut strings = Vec::new();
        for _ in 0..number(input)? {
            let key = string(input)?;
            let kind = u32::from_le_bytes(array(input)?);
            if kind == STRING {
                strings.push((key, string(input)?));
            } else {
                skip(input, kind, 0)?;
            }
        }
        Ok(Self {
            version,
            tensors,
            strings,
        })
    }

    pub fn string(&self, key: &str) -> Option<&str> {
        let entry = self.strings.iter().find(|(k, _)| k == key);
        entry.map(|(_, value)| value.as_str())
    }

    /// A file without tensors.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(0u64.to_le_bytes());
        out.extend((self.strings.len() as u64).to_le_bytes());
        for (key, value) in &self.strings {
            out.extend((key.len() as u64).to_le_bytes());
            out.extend(key.as_bytes());
            out.extend(STRING.to_le_bytes());
            out.extend((value.len() as u64).to_le_bytes());
            out.extend(value.as_bytes());
        }
        out
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn number(input: &mut impl Read) -> io::Result<u64> {
    array(input).map(u64::from_le_bytes)
}

fn string(input: &mut impl Read) -> io::Result<String> {
    let len = number(input)?;
    if len > MAX_STRING {
        return Err(invalid("a string in the GGUF file is too long"));
    }
    let mut bytes = Vec::new();
    // Grows with what is really there, whatever the length claims.
    input.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(bytes).map_err(|_| invalid("a string in the GGUF file is not UTF-8"))
}

fn skip(input: &mut impl Read, kind: u32, depth: u32) -> io::Result<()> {
    let size = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        STRING => return string(input).map(drop),
        9 if depth < 4 => {
            let kind = u32::from_le_bytes(array(input)?);
            for _ in 0..number(input)? {
                skip(input, kind, depth + 1)?;
            }
            return Ok(());
        }
        _ => return Err(invalid(&format!("unknown type {kind} in the GGUF file"))),
    };
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes[..size])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Gguf {
        Gguf {
            version: 3,
            tensors: 0,
            strings: vec![("general.name".into(), "tiny".into())],
        }
    }

    #[test]
    fn round_trip() {
        let bytes = sample().to_bytes();
        let back = Gguf::read(&mut bytes.as_slice()).unwrap();
        assert_eq!(back, sample());
        assert_eq!(back.string("general.name"), Some("tiny"));
        assert_eq!(back.string("general.nam"), None);
    }

    #[test]
    fn other_types_are_skipped() {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(7u64.to_le_bytes());
        bytes.extend(2u64.to_le_bytes());
        for (kind, body) in [
            (4u32, 5u32.to_le_bytes().to_vec()),
            // An array of two integers of 16 bits.
            (9, b"\x02\0\0\0\x02\0\0\0\0\0\0\0abcd".to_vec()),
        ] {
            bytes.extend(1u64.to_le_bytes());
            bytes.push(b'k');
            bytes.extend(kind.to_le_bytes());
            bytes.extend(body);
        }
        let mut input = bytes.as_slice();
        assert_eq!(Gguf::read(&mut input).unwrap().tensors, 7);
        assert!(input.is_empty());
    }

    #[test]
    fn damage() {
        let bytes = sample().to_bytes();
        for len in 0..bytes.len() {
            assert!(Gguf::read(&mut &bytes[..len]).is_err());
        }
        let error = Gguf::read(&mut &b"GGML\x03\0\0\0"[..]).unwrap_err();
        assert!(error.to_string().contains("magic"));
        let mut huge = b"GGUF\x03\0\0\0".to_vec();
        huge.extend(0u64.to_le_bytes());
        huge.extend(1u64.to_le_bytes());
        huge.extend(u64::MAX.to_le_bytes());
        assert!(Gguf::read(&mut huge.as_slice()).is_err());
    }
}
