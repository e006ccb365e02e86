use dynamo_runtime::component::{Component, State};

#[test]
fn a_component_runs_once() {
    let mut component = Component::default();
    assert_eq!(
        (component.start(), component.start(), component.state()),
        (true, false, State::Running)
    );
    component.stop();
    assert_eq!(
        (component.start(), component.state()),
        (false, State::Stopped)
    );
}

#[test]
fn the_whole_workspace_has_the_cfg() {
    let is_set = std::hint::black_box(dynamo_runtime::TOKIO_UNSTABLE);
    assert!(is_set, "RUSTFLAGS drops what .cargo/config.toml sets");
}
