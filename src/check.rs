//! One question by the gateway becomes a verdict. It knows no HTTP framework, no gRPC and no store's protocol.
