use dynamo_runtime::component::Component;

fn main() {
    let mut component = Component::default();
    println!("hello, started: {}", component.start());
}
