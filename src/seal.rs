//! AEAD envelopes and MACs with key ids and bound context, under the session keys.
