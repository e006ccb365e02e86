#[test]
fn the_service_has_the_methods_of_its_proto_file() {
    let methods = dynamo_llm::grpc::methods();
    assert_eq!(
        methods,
        [
            "GRPCInferenceService/ServerLive",
            "GRPCInferenceService/ModelReady"
        ]
    );
}
