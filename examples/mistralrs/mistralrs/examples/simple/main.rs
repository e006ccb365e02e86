//! Asks the toy model: `cargo run -p mistralrs --example simple -- What is a cache?`

use std::{env, error::Error, io::Write};

use mistralrs::{Messages, Model, Role};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let question = match words.join(" ") {
        text if text.is_empty() => "What is a lock file?".to_owned(),
        text => text,
    };
    let model = Model::builder("toy").build()?;
    let mut out = std::io::stdout();
    let answer = model.stream_chat(&Messages::new().add(Role::User, question), |piece| {
        // Nobody to write to: no need to go on.
        write!(out, "{piece}").and_then(|()| out.flush()).is_ok()
    });
    println!("\n({} tokens)", answer.completion_tokens);
    Ok(())
}
