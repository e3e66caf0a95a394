//! Protobuf's wire format (protobuf.dev/programming-guides/encoding): fields read without a schema.

use crate::tokens::Refused;

/// A message that is being read.
#[derive(Clone, Copy)]
pub struct Wire<'a>(pub &'a [u8]);

impl<'a> Wire<'a> {
    /// The next field's tag; None at the end.
    pub fn tag(&mut self) -> Result<Option<u64>, Refused> {
        if self.0.is_empty() {
            Ok(None)
        } else {
            self.varint().map(Some)
        }
    }

    /// An unsigned whole number of at most 64 bits, in at most ten bytes.
    pub fn varint(&mut self) -> Result<u64, Refused> {
        let mut value = 0u64;
        for (place, &byte) in self.0.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 {
                return Err(Refused);
            }
            value |= bits << (7 * place);
            if byte < 0x80 {
                self.0 = &self.0[place + 1..];
                return Ok(value);
            }
        }
        Err(Refused)
    }

    /// Bytes, text or a message, with their length before them.
    pub fn bytes(&mut self) -> Result<&'a [u8], Refused> {
        let length = usize::try_from(self.varint()?).map_err(|_| Refused)?;
        self.take(length)
    }

    pub fn fixed64(&mut self) -> Result<u64, Refused> {
        self.take(8)?.try_into().map(u64::from_le_bytes).map_err(|_| Refused)
    }

    pub fn fixed32(&mut self) -> Result<u32, Refused> {
        self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| Refused)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Refused> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Refused)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes() {
        let mut wire = Wire(b"\x96\x01\x03abc\x01\0\0\0\x02\0\0\0\0\0\0\0");
        assert_eq!(wire.varint(), Ok(150));
        assert_eq!(wire.bytes(), Ok(b"abc".as_slice()));
        assert_eq!(wire.fixed32(), Ok(1));
        assert_eq!(wire.fixed64(), Ok(2));
        assert_eq!(wire.tag(), Ok(None));
        assert_eq!(Wire(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").varint(), Ok(u64::MAX));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        assert_eq!(Wire(b"\x80").varint(), Err(Refused));
        assert_eq!(Wire(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02").varint(), Err(Refused));
        assert_eq!(Wire(b"\x05abc").bytes(), Err(Refused));
        assert_eq!(Wire(b"\x05abc").fixed64(), Err(Refused));
    }
}
