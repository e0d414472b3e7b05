//! Which rule covers a request, and whom it lets pass. Pure: no I/O, no framework.
