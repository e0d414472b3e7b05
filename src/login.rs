//! A browser's way in and out: start, callback, sign-out.
