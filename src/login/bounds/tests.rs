use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::clock::{TestClock, UnixTime};

struct Scene {
    clock: Arc<TestClock>,
    bounds: Bounds,
}

impl Scene {
    /// By these limits, as the file spells them.
    fn with(limits: &str) -> Self {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
        let nowhere = std::path::Path::new("/nowhere");
        let settings = crate::config::for_tests::settings(nowhere, crate::config::for_tests::NOBODY, limits);
        Self { bounds: Bounds::new(settings.limits, 1, clock.clone()), clock }
    }

    /// As a start asks.
    fn step(&self, address: Option<&str>) -> Result<(), TooMany> {
        let address = address.map(|address| address.parse().expect("an address"));
        self.bounds.of_one(address)?;
        self.bounds.of_all(address)
    }

    /// How many of 1000 are let in.
    fn let_in(&self, address: Option<&str>) -> usize {
        (0..1000).filter(|_| self.step(address).is_ok()).count()
    }
}

#[test]
fn two_thousand_people_behind_one_address_sign_in_within_five_minutes() {
    // All at once, as after a restart, or one after the other: each begins once, and half of them twice.
    for pause in [0, 1] {
        let scene = Scene::with("");
        for person in 0..2_000 {
            for attempt in 0..=person % 2 {
                assert_eq!(scene.step(Some("203.0.113.9")), Ok(()), "person {person}, attempt {attempt}");
            }
            if person % 7 == 0 {
                scene.clock.advance(Duration::from_secs(pause));
            }
        }
        // And nobody elsewhere notices.
        assert_eq!(scene.step(Some("203.0.113.10")), Ok(()));
    }
}

#[test]
fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let scene = Scene::with("limits: {sign_ins_per_address: 30/1m}");
    assert_eq!(scene.let_in(Some("203.0.113.9")), 30);
    let too_many = scene.step(Some("203.0.113.9")).expect_err("refused");
    assert_eq!(too_many.wait, Duration::from_secs(2));
    assert_eq!(too_many.to_string(), "too many sign-ins from 203.0.113.9: limits.sign_ins_per_address allows 30/1m");
    assert_eq!(scene.let_in(Some("203.0.113.10")), 30, "others are not held by it");
    scene.clock.advance(Duration::from_secs(1));
    assert!(scene.step(Some("203.0.113.9")).is_err());
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(scene.let_in(Some("203.0.113.9")), 1);
}

#[test]
fn one_ipv6_network_is_one_address() {
    let scene = Scene::with("limits: {sign_ins_per_address: 2/1m}");
    for (address, is_let_in) in [
        ("2001:db8:0:100::1", true),
        ("2001:db8:0:1ff:ffff:ffff:ffff:ffff", true),
        ("2001:db8:0:100::2", false),
        ("2001:db8:0:200::1", true),
        ("::ffff:203.0.113.9", true),
        ("203.0.113.9", true),
        ("203.0.113.9", false),
        ("203.0.113.8", true),
    ] {
        assert_eq!(scene.step(Some(address)).is_ok(), is_let_in, "{address}");
    }
    let refused = scene.step(Some("2001:db8:0:101::3")).expect_err("refused").to_string();
    assert!(refused.starts_with("too many sign-ins from 2001:db8:0:100::/56: "), "{refused}");
}

#[test]
fn one_address_cannot_use_up_what_all_have() {
    let scene = Scene::with("limits: {sign_ins: 60/1m, sign_ins_per_address: 40/1m}");
    assert_eq!(scene.let_in(Some("203.0.113.9")), 40);
    assert_eq!(scene.let_in(Some("203.0.113.10")), 20, "what was refused has taken nothing");
    let too_many = scene.step(Some("203.0.113.11")).expect_err("refused");
    assert_eq!(too_many.to_string(), "too many sign-ins from everywhere: limits.sign_ins allows 60/1m");
    assert_eq!(too_many.wait, Duration::from_secs(1));
}

#[test]
fn more_may_begin_than_may_end() {
    let scene = Scene::with("limits: {sign_ins: 60/1m, sign_ins_per_address: 60/1m}");
    let starts = Bounds::new(scene.bounds.settings, 10, scene.clock.clone());
    let begun = (0..1000).filter(|_| starts.of_all(Some(IpAddr::V4(Ipv4Addr::LOCALHOST))).is_ok()).count();
    assert_eq!(begun, 600);
    let refused = starts.of_all(None).expect_err("refused").to_string();
    assert_eq!(refused, "too many sign-ins from everywhere: limits.sign_ins allows 10 times 60/1m");
}

#[test]
fn those_whose_address_is_not_known_are_not_held_as_one_and_leave_the_others_a_quarter() {
    let scene = Scene::with("limits: {sign_ins: 60/1m, sign_ins_per_address: 10/1m}");
    assert_eq!(scene.let_in(None), 45, "more than one address may");
    let refused = scene.step(None).expect_err("refused").to_string();
    assert_eq!(
        refused,
        "too many sign-ins from addresses that are not known: limits.sign_ins allows them three quarters of 60/1m"
    );
    assert_eq!(scene.let_in(Some("203.0.113.9")), 10);
}

#[test]
fn however_many_addresses_come_little_is_remembered() {
    let scene = Scene::with("limits: {sign_ins: 4294967295/1h, sign_ins_per_address: 4000/5m}");
    for number in 0..200_000_u32 {
        let v4 = IpAddr::V4(Ipv4Addr::from_bits(number));
        let v6 = IpAddr::V6(Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | (u128::from(number) << 72)));
        assert!(scene.bounds.of_one(Some(v4)).is_ok() && scene.bounds.of_one(Some(v6)).is_ok());
    }
    let remembered = scene.bounds.addresses.len();
    assert!(remembered <= MOST_ADDRESSES, "{remembered} addresses are remembered");
    assert!(remembered > MOST_ADDRESSES / 2, "only {remembered} are");
}

#[test]
fn who_comes_again_and_again_is_remembered_though_many_others_come() {
    let scene = Scene::with("limits: {sign_ins_per_address: 50/1m, sign_ins: 4294967295/1h}");
    let mut let_in = 0;
    for number in 0..100_000_u32 {
        let other = IpAddr::V4(Ipv4Addr::from_bits(number));
        assert!(scene.bounds.of_one(Some(other)).is_ok());
        if number % 100 == 0 {
            let_in += usize::from(scene.step(Some("203.0.113.9")).is_ok());
        }
    }
    assert_eq!(let_in, 50, "of a thousand");
}
