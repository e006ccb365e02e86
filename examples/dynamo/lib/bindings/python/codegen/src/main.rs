//! Prints a Python stub of the gRPC service.

fn main() {
    println!("class GRPCInferenceService:");
    for method in dynamo_llm::grpc::methods() {
        println!(
            "    def {}(self, request): ...",
            method.rsplit('/').next().unwrap_or_default()
        );
    }
}
