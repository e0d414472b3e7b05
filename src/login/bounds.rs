//! How many may sign in: so many from one address, so many altogether. What is remembered stays small whoever comes. It
//! knows no flow and no provider.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};
use quick_cache::sync::Cache;
use thiserror::Error;

use crate::bucket::{Bucket, Pace};
use crate::clock::Clock;
use crate::config::{LimitSettings, Rate};

/// Of how many addresses it is remembered what they have left; of others, all is left. Whoever has more addresses than that
/// is held by the bound on all of them.
const MOST_ADDRESSES: usize = 16 * 1024;

/// What counts as one address where each has as many as it likes: a home is given so large a network (RFC 6177).
const IPV6_PREFIX: u8 = 56;

/// That no address is known is said once, not at each step.
static TOLD: Once = Once::new();

/// The bounds of one step of a sign-in.
pub(super) struct Bounds {
    settings: LimitSettings,
    /// How many times as many as the settings say, from all addresses together.
    times: u32,
    each: Pace,
    addresses: Cache<IpNet, Arc<Mutex<Bucket>>>,
    unknown: Shared,
    all: Shared,
    clock: Arc<dyn Clock>,
}

struct Shared {
    pace: Pace,
    bucket: Mutex<Bucket>,
}

/// More than may be. It passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too many sign-ins from {who}")]
pub struct TooMany {
    who: Who,
    /// How long until there may be another, in whole seconds.
    pub wait: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Address(IpNet, Rate),
    Unknown(u32, Rate),
    Anywhere(u32, Rate),
}

impl Bounds {
    pub(super) fn new(settings: LimitSettings, times: u32, clock: Arc<dyn Clock>) -> Self {
        let Rate { count, per } = settings.sign_ins;
        let all = u64::from(count) * u64::from(times);
        // Those whose address is not known can be held by nothing else: they leave the others a quarter.
        let unknown = all - all / 4;
        Self {
            settings,
            times,
            each: pace(settings.sign_ins_per_address),
            addresses: Cache::new(MOST_ADDRESSES),
            unknown: Shared::full(Pace::new(unknown, per, unknown), &*clock),
            all: Shared::full(Pace::new(all, per, all), &*clock),
            clock,
        }
    }

    /// Counts one step of whoever is at `address`. Where that is not known, nobody can be told from the others.
    pub(super) fn of_one(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let Some(address) = address else {
            TOLD.call_once(|| {
                tracing::warn!(
                    "where people sign in from is not known: whoever signs in too often can keep others from it. If a \
                     gateway is in front, add its addresses to trusted_proxies"
                );
            });
            return Ok(());
        };
        let (network, now) = (network(address), self.clock.now());
        let full = || Ok::<_, std::convert::Infallible>(Arc::new(Mutex::new(Bucket::full(&self.each, now))));
        let Ok(bucket) = self.addresses.get_or_insert_with(&network, full);
        let taken = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(&self.each, 0, now);
        taken.map_err(|wait| TooMany { who: Who::Address(network, self.settings.sign_ins_per_address), wait })
    }

    /// Counts one step of anybody, whether or not it is known where. To be asked last: what is refused elsewhere is to take
    /// nothing from all.
    pub(super) fn of_all(&self, address: Option<IpAddr>) -> Result<(), TooMany> {
        let too_many =
            |who: fn(u32, Rate) -> Who| move |wait| TooMany { who: who(self.times, self.settings.sign_ins), wait };
        if address.is_none() {
            self.unknown.take(&*self.clock).map_err(too_many(Who::Unknown))?;
        }
        self.all.take(&*self.clock).map_err(too_many(Who::Anywhere))
    }
}

impl Shared {
    fn full(pace: Pace, clock: &dyn Clock) -> Self {
        Self { pace, bucket: Mutex::new(Bucket::full(&pace, clock.now())) }
    }

    fn take(&self, clock: &dyn Clock) -> Result<(), Duration> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(&self.pace, 0, clock.now())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(network, rate) => {
                let host = IpNet::from(network.addr());
                if *network == host { write!(f, "{}", network.addr()) } else { write!(f, "{network}") }?;
                write!(f, ": limits.sign_ins_per_address allows {rate}")
            }
            Self::Unknown(times, rate) => {
                let allowed = Times(*times, *rate);
                write!(f, "addresses that are not known: limits.sign_ins allows them three quarters of {allowed}")
            }
            Self::Anywhere(times, rate) => {
                write!(f, "everywhere: limits.sign_ins allows {}", Times(*times, *rate))
            }
        }
    }
}

struct Times(u32, Rate);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(times, rate) = self;
        if *times == 1 { write!(f, "{rate}") } else { write!(f, "{times} times {rate}") }
    }
}

fn pace(Rate { count, per }: Rate) -> Pace {
    Pace::new(count.into(), per, count.into())
}

fn network(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = Ipv6Net::new(address, IPV6_PREFIX).unwrap_or_else(|_| address.into());
            network.trunc().into()
        }
        address @ IpAddr::V4(_) => address.into(),
    }
}

#[cfg(test)]
mod tests;
