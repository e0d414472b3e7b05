//! Renewal: one at a time for each session, finished even if nobody waits for it.
