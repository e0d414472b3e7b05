//! What the bodies of all requests on a listener may take together while they are being read. The beginning of each is
//! free, so that whoever fills the room with large ones shuts out nothing but other large ones.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const KIB: usize = 1024;
/// As much as the headers of nearly any request take, of which a check over gRPC consists.
const FREE: usize = 16 * KIB;

/// A listener's room for bodies.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    /// Room for so many bytes.
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / KIB)))
    }

    /// The body, which takes its room as it comes and gives it back when it is dropped.
    pub(super) fn hold<B>(&self, body: B) -> Held<B> {
        Held { body, room: self.clone(), read: 0, place: None }
    }
}

/// A body that ends in an error where there is no room for it.
#[derive(Debug)]
pub struct Held<B> {
    body: B,
    room: Room,
    read: usize,
    place: Option<OwnedSemaphorePermit>,
}

/// Too much is being read at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no room for the request's body at the moment")]
pub struct NoRoom;

impl<B> Held<B> {
    fn take(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.read = self.read.saturating_add(bytes);
        let taken = self.place.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = self.read.saturating_sub(FREE).div_ceil(KIB).saturating_sub(taken);
        if missing == 0 {
            return Ok(());
        }
        let missing = u32::try_from(missing).map_err(|_| NoRoom)?;
        let more = Arc::clone(&self.room.0).try_acquire_many_owned(missing).map_err(|_| NoRoom)?;
        match &mut self.place {
            Some(place) => place.merge(more),
            None => self.place = Some(more),
        }
        Ok(())
    }
}

impl<B> Body for Held<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map(|frame| {
            let frame = match frame? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(error.into())),
            };
            match self.take(frame.data_ref().map_or(0, Bytes::len)) {
                Ok(()) => Some(Ok(frame)),
                Err(no_room) => Some(Err(no_room.into())),
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    #[tokio::test]
    async fn there_is_room_for_so_much_at_a_time() {
        let room = Room::of(3 * KIB);
        let body = |bytes: usize| room.hold(Full::new(Bytes::from(vec![0; bytes])));
        let (mut first, mut second, mut small) = (body(FREE + 2 * KIB), body(FREE + 2 * KIB), body(FREE));
        assert!(first.frame().await.is_some_and(|frame| frame.is_ok()));
        let refused = second.frame().await.expect("a frame").expect_err("there is no room");
        assert_eq!(refused.downcast_ref(), Some(&NoRoom));
        assert!(small.frame().await.is_some_and(|frame| frame.is_ok()), "small ones need none");
        drop(first);
        assert!(body(FREE + 3 * KIB).collect().await.is_ok(), "it was given back");
        assert!(body(FREE + 3 * KIB).collect().await.is_ok());
    }

    #[tokio::test]
    async fn what_comes_in_pieces_takes_as_much() {
        let room = Room::of(2 * KIB);
        let mut pieces = room.hold(Full::new(Bytes::new()));
        for _ in 0..FREE + 2 * KIB {
            assert_eq!(pieces.take(1), Ok(()));
        }
        assert_eq!(pieces.take(1), Err(NoRoom));
    }
}
