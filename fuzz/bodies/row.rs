//! A row that comes out of the store, which others may have written: none opens that was not sealed here for its place, and
//! what is in it is read back as it was written.

use countersign::entropy::TestEntropy;
use countersign::seal::{CookieSecret, Purpose};
use countersign::session::StoreKey;
use serde_json::Value;

use super::house::{self, House, NOW};

/// How to go about it, where something is changed, then a row, or what is under its seal.
pub(super) fn body(data: &[u8]) {
    let Some(([way, high, low, xor], rest)) = data.split_first_chunk::<4>() else { return };
    let at = usize::from(u16::from_be_bytes([*high, *low]));
    house::within(async |house| {
        let secret = CookieSecret::generate(&TestEntropy::default());
        let place = StoreKey::from_bytes(secret.store_key());
        let cookie = house.keys.cookie_value(&secret);
        match way % 5 {
            0 => assert_eq!(found(house, &cookie, place, rest.to_vec()).await, None, "nobody sealed it"),
            1 => whatever_is_under_a_good_seal(house, &cookie, place, rest).await,
            2 => {
                let good = house.keys.seal(Purpose::Row, place.as_bytes(), rest);
                let mut row = good.clone();
                let at = at % row.len();
                row[at] ^= xor;
                if row != good {
                    assert_eq!(found(house, &cookie, place, row).await, None, "byte {at} was changed");
                }
                assert_eq!(found(house, &cookie, place, good[..at].to_vec()).await, None, "cut at {at}");
            }
            3 => {
                // Of another place, another purpose, another key.
                let mut elsewhere = *place.as_bytes();
                elsewhere[at % 32] ^= xor | 1;
                for row in [
                    house.keys.seal(Purpose::Row, &elsewhere, rest),
                    house.keys.seal(Purpose::Flow, place.as_bytes(), rest),
                    house::session_keys(&[3]).seal(Purpose::Row, place.as_bytes(), rest),
                ] {
                    assert_eq!(found(house, &cookie, place, row).await, None, "it was moved here");
                }
            }
            _ => resealed(house, place, rest),
        }
    });
}

async fn whatever_is_under_a_good_seal(house: &House, cookie: &str, place: StoreKey, plain: &[u8]) {
    let row = house.keys.seal(Purpose::Row, place.as_bytes(), plain);
    let Some(read) = found(house, cookie, place, row).await else { return };
    let (schema, json) = plain.split_first().expect("a schema");
    // What is passed over unread may be anything.
    let Ok(written) = serde_json::from_slice::<Value>(json) else { return };
    assert_eq!(*schema, 1, "another schema was read as if it were known");
    assert!(written["ends_at"].as_u64().is_some_and(|end| end > NOW.as_secs()), "it is over");
    for (name, value) in written["identity"].as_object().expect("an identity") {
        // Times may be written as 1.0, and lists may be left out; what is a text is the same.
        if value.is_string() && !read["identity"][name].is_null() {
            assert_eq!(value, &read["identity"][name], "{name}");
        }
    }
    let user = read["identity"]["user"].as_str().expect("a user");
    assert!((1..=320).contains(&user.len()) && !user.chars().any(char::is_control), "{user:?} as a header");
    // What was read, written again, is read as the same.
    let again = [&[1], read.to_string().as_bytes()].concat();
    let row = house.keys.seal(Purpose::Row, place.as_bytes(), &again);
    assert_eq!(found(house, cookie, place, row).await, Some(read));
}

/// New keys take over what the old ones sealed, and nothing changes under the seal.
fn resealed(house: &House, place: StoreKey, plain: &[u8]) {
    let old = house::session_keys(&[1]).seal(Purpose::Row, place.as_bytes(), plain);
    let new = house.keys.reseal(Purpose::Row, place.as_bytes(), &old).expect("it opens").expect("an older key made it");
    let newest = house::session_keys(&[2]);
    assert_eq!(newest.open(Purpose::Row, place.as_bytes(), &new).expect("it opens").as_slice(), plain);
    // What is no envelope of ours is left alone, or is an error; it never becomes one.
    assert!(!matches!(house.keys.reseal(Purpose::Row, place.as_bytes(), plain), Ok(Some(_))), "nobody sealed it");
}

/// The session of the cookie, as JSON, if this is the row in the store.
async fn found(house: &House, cookie: &str, place: StoreKey, row: Vec<u8>) -> Option<Value> {
    house.store.hold(place, row);
    let proven = house.sessions.prove(cookie).expect("it was made here");
    let live = house.sessions.find(&proven).await.expect("the store answers")?;
    assert!(!live.is_over(NOW));
    Some(serde_json::to_value(&live.session).expect("it becomes JSON"))
}
