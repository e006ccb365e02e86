//! Talks to a live etcd, at ETCD_ENDPOINTS.
#![cfg(feature = "testing-etcd")]

use dynamo_runtime::etcd::{endpoint, get, put};

#[test]
fn a_value_comes_back() {
    let key = format!("dynamo/tests/{}", std::process::id());
    put(&endpoint(), &key, "an instance").unwrap();
    assert_eq!(
        get(&endpoint(), &key).unwrap().as_deref(),
        Some("an instance")
    );
}

#[test]
fn an_unknown_key_has_no_value() {
    assert_eq!(get(&endpoint(), "dynamo/tests/nobody").unwrap(), None);
}
