//! The model as a library.
//!
//! ```
//! use mistralrs::{Messages, Model, Role};
//!
//! let model = Model::builder("toy").max_tokens(20).build()?;
//! let answer = model.chat(&Messages::new().add(Role::User, "Hello!"));
//! assert!(answer.text.starts_with("Hello"));
//! # Ok::<(), mistralrs::ModelError>(())
//! ```

pub use mistralrs_core::{
    backends, multimodal, Completion, CudaStatus, FinishReason, GenerateParams, ModelError,
    SamplingParams,
};

use mistralrs_core::ToyModel;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
}

/// A conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages(Vec<(Role, String)>);

impl Messages {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn add(mut self, role: Role, text: impl Into<String>) -> Self {
        self.0.push((role, text.into()));
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = (Role, &str)> {
        self.0.iter().map(|(role, text)| (*role, text.as_str()))
    }

    fn prompt(&self) -> String {
        let texts: Vec<&str> = self.iter().map(|(_, text)| text).collect();
        texts.join("\n")
    }
}

#[derive(Debug)]
pub struct ModelBuilder {
    name: String,
    params: GenerateParams,
}

impl ModelBuilder {
    #[must_use]
    pub fn max_tokens(mut self, max_tokens: usize) -> Self {
        self.params.max_tokens = max_tokens;
        self
    }

    #[must_use]
    pub fn sampling(mut self, sampling: SamplingParams) -> Self {
        self.params.sampling = sampling;
        self
    }

    pub fn build(self) -> Result<Model, ModelError> {
        Ok(Model {
            inner: ToyModel::plain(&self.name)?,
            params: self.params,
        })
    }
}

#[derive(Debug)]
pub struct Model {
    inner: ToyModel,
    params: GenerateParams,
}

impl Model {
    /// A model by its name, or by the path of a text to learn from.
    pub fn builder(name: impl Into<String>) -> ModelBuilder {
        ModelBuilder {
            name: name.into(),
            params: GenerateParams::default(),
        }
    }

    pub fn id(&self) -> &str {
        self.inner.id()
    }

    pub fn chat(&self, messages: &Messages) -> Completion {
        self.inner.generate(&messages.prompt(), &self.params)
    }

    /// Calls back with every piece of text, and stops when that returns false.
    pub fn stream_chat(
        &self,
        messages: &Messages,
        on_piece: impl FnMut(&str) -> bool,
    ) -> Completion {
        self.inner
            .generate_with(&messages.prompt(), &self.params, on_piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_keep_their_order() {
        let messages = Messages::new().add(Role::System, "a").add(Role::User, "b");
        assert_eq!(messages.prompt(), "a\nb");
        assert_eq!(messages.iter().last(), Some((Role::User, "b")));
    }

    #[test]
    fn builder_sets_the_limit() {
        let model = Model::builder("m").max_tokens(2).build().unwrap();
        let answer = model.chat(&Messages::new());
        assert_eq!((answer.completion_tokens, model.id()), (2, "m"));
    }
}
