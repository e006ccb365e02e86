//! From a chat to the text that a model reads.

use dynamo_async_openai::Message;

/// Fill a chat into a template: `{role}` and `{content}` stand for each message.
///
/// ```
/// let message = dynamo_async_openai::Message { role: "user".into(), content: "hi".into() };
/// assert_eq!(dynamo_llm::preprocessor::render("<{role}>{content}", &[message]), "<user>hi");
/// ```
pub fn render(template: &str, messages: &[Message]) -> String {
    messages
        .iter()
        .map(|message| {
            template
                .replace("{role}", &message.role)
                .replace("{content}", &message.content)
        })
        .collect()
}
