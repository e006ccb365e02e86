use dynamo_llm::http::answer;

#[test]
fn health_is_healthy_and_other_paths_are_not_there() {
    assert_eq!((answer("/health").0, answer("/nowhere").0), (200, 404));
}
