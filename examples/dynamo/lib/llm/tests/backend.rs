#[test]
fn only_full_blocks_count() {
    assert_eq!(dynamo_llm::backend::blocks(&[1, 2, 3, 4, 5], 2), 2);
}
