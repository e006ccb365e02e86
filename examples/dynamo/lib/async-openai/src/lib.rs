//! Requests and answers in the shape of OpenAI's interface.

/// One message of a chat.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub role: String,
    pub content: String,
}

/// Whether callers may bring types of their own.
pub const BRING_YOUR_OWN_TYPES: bool = cfg!(feature = "byot");
