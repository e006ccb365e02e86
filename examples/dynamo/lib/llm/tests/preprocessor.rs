use dynamo_async_openai::Message;
use dynamo_llm::preprocessor::render;

#[test]
fn the_template_of_a_sample_model_is_filled_in() {
    let template = include_str!("data/sample-models/tiny/chat_template.txt");
    let messages = [Message {
        role: "user".into(),
        content: "hello".into(),
    }];
    assert_eq!(
        render(template.trim_end(), &messages),
        "<|user|>hello<|end|>"
    );
}
