//! What a client sends on a stream: a frame with a request in it.

use protocol::codec::encode;
use protocol::error::ErrorCode;
use protocol::frame;
use protocol::request::{Request, peek};

/// Bytes of a stream; also taken as a payload, so that mutations need not keep a frame intact.
/// [WIRE-FRAME-1] [WIRE-FRAME-3] [WIRE-REQUEST-1]
pub fn client_frame(bytes: &[u8]) {
    if let Ok(payload) = frame::decode_exact(bytes) {
        let again = frame::encode(&payload);
        assert_eq!(again.as_deref(), Ok(bytes), "a frame has two encodings");
        request(&payload);
    }
    request(bytes);
}

fn request(payload: &[u8]) {
    let again = match Request::decode(payload) {
        Ok(Request::Auth(request)) => encode(&request),
        Ok(Request::Delivery(request)) => encode(&request),
        Ok(Request::Queue(request)) => encode(&request),
        Err(error) => {
            let known = peek(payload).err();
            assert_eq!(
                known.unwrap_or(ErrorCode::Malformed),
                error,
                "decoding and peeking differ"
            );
            return;
        }
    };
    assert!(
        peek(payload).is_ok(),
        "a request that decodes is in the registry"
    );
    assert_eq!(again, payload, "a request has two encodings");
}
