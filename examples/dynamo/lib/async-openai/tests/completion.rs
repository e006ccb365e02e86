use dynamo_async_openai::Message;

#[test]
fn a_message_keeps_its_role() {
    let message = Message {
        role: "user".into(),
        content: "hello".into(),
    };
    assert_eq!(message.clone().role, "user");
}
