//! Messages to bytes and back. What is no check becomes none, and is answered as such. A message is read here to its end:
//! what waits for the rest of its stream must be no larger than what was sent.

use prost::Message as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::messages::CheckResponse;
use super::question::Asked;

/// What was sent, if it is a check.
pub(super) type Sent = Option<Asked>;

/// Reads checks and writes answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckCodec;

impl Codec for CheckCodec {
    type Encode = CheckResponse;
    type Decode = Sent;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Decoder for CheckCodec {
    type Item = Sent;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Sent>, Status> {
        // One reference-counted piece, of which the message's fields are parts.
        let bytes = bytes::Buf::copy_to_bytes(bytes, bytes::Buf::remaining(bytes));
        Ok(Some(Asked::read(bytes)))
    }
}

impl Encoder for CheckCodec {
    type Item = CheckResponse;
    type Error = Status;

    fn encode(&mut self, reply: CheckResponse, bytes: &mut EncodeBuf<'_>) -> Result<(), Status> {
        reply.encode(bytes).map_err(|error| Status::internal(error.to_string()))
    }
}
