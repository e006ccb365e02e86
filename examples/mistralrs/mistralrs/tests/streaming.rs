//! A stream and a whole answer are the same.

use mistralrs::{Messages, Model, Role, SamplingParams};

#[test]
fn stream_is_the_answer() {
    let sampling = SamplingParams {
        temperature: 0.8,
        seed: 3,
        ..Default::default()
    };
    let model = Model::builder("toy").sampling(sampling).build().unwrap();
    let messages = Messages::new().add(Role::User, "How does sampling work?");
    let mut text = String::new();
    let streamed = model.stream_chat(&messages, |piece| {
        text.push_str(piece);
        true
    });
    assert_eq!(streamed, model.chat(&messages));
    assert_eq!(streamed.text, text);
}
