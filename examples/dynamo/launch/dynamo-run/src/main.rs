//! `dynamo-run PROMPT`: an answer, or with --info what this program is made of.

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--info"] {
        println!("revision={}", env!("DYNAMO_REVISION"));
        println!("device={}", device());
        println!("tokio_unstable={}", dynamo_runtime::TOKIO_UNSTABLE);
        println!("features={}", dynamo_llm::features().join(","));
        return;
    }
    println!("{}", answer(&words.join(" ")));
}

#[cfg(feature = "mistralrs")]
fn answer(prompt: &str) -> String {
    dynamo_engine_mistralrs::answer(prompt).to_string()
}

#[cfg(not(feature = "mistralrs"))]
fn answer(prompt: &str) -> String {
    format!("no engine for {prompt:?}")
}

#[cfg(feature = "mistralrs")]
fn device() -> &'static str {
    dynamo_engine_mistralrs::DEVICE
}

#[cfg(not(feature = "mistralrs"))]
fn device() -> &'static str {
    "none"
}
