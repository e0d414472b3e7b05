//! The development identity provider and the demo site of `countersign dev`. Loopback only; never part of `serve`.
