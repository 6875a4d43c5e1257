use super::*;
use crate::api::labels;
use crate::catalog::CapacityType;
use crate::requirements::Requirement;
use crate::resources::{CPU, MEMORY, PODS};

const OWN: &str = r#"{"instanceTypes": [{
    "name": "big", "labels": {"example.com/rack": ["a", "b"], "kubernetes.io/os": "windows"},
    "capacity": {"cpu": "16", "memory": "64Gi", "example.com/fpga": 2},
    "overhead": {"kubeReserved": {"cpu": "100m"}, "evictionThreshold": {"memory": "1Gi"}},
    "offerings": [
        {"zone": "z", "capacityType": "on-demand", "priceUsdHour": 0.5},
        {"zone": "a", "capacityType": "reserved", "priceUsdHour": "0", "reservation": {"id": "cr-1", "free": 3},
         "labels": {"karpenter.k8s.aws/capacity-reservation-id": "cr-1"}},
        {"zone": "a", "capacityType": "spot", "priceUsdHour": 1e-3, "available": false}]}]}"#;

const KWOK: &str = r#"[{
    "name": "m5.large", "architecture": "amd64", "operatingSystems": ["linux"], "resources": {"cpu": "2", "memory": "8Gi"},
    "offerings": [{"Price": 0.07, "Available": false, "Requirements": [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]},
        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["test-zone-a"]}]}]}]"#;

#[test]
fn our_format_says_everything_that_a_type_has() {
    let types = parse(OWN).unwrap();
    let big = &types[0];
    assert_eq!((big.allocatable.get(CPU), big.allocatable.get(MEMORY)), (15_900, 63 << 30));
    assert_eq!((big.capacity.get(PODS), big.capacity.get("example.com/fpga")), (110, 2));
    assert_eq!(big.requirements.get("example.com/rack"), Some(&Requirement::one_of(["a", "b"])));
    assert_eq!(big.requirements.get(labels::OS), Some(&Requirement::one_of(["windows"])));
    assert_eq!(big.requirements.get(labels::INSTANCE_GPU_NAME), Some(&Requirement::does_not_exist()));
    assert_eq!(big.requirements.get(labels::CAPACITY_RESERVATION_ID), None, "the offering has it");
    let shown: Vec<_> = big.offerings.iter().map(|o| (&*o.zone, o.capacity_type, o.price.0, o.available)).collect();
    assert_eq!(
        shown,
        [
            ("a", CapacityType::Reserved, 0, true),
            ("a", CapacityType::Spot, 1_000, false),
            ("z", CapacityType::OnDemand, 500_000, true),
        ]
    );
    assert_eq!(big.offerings[0].reservation.as_ref().unwrap().free, 3);
}

#[test]
fn karpenters_kwok_format_is_read_as_karpenter_does() {
    let types = parse(KWOK).unwrap();
    let m5 = &types[0];
    assert_eq!((m5.allocatable.get(CPU), m5.allocatable.get(MEMORY)), (1_900, (8 << 30) - (10 << 20)));
    assert_eq!(m5.allocatable.get(PODS), 110);
    assert_eq!(m5.requirements.get(labels::KWOK_INSTANCE_SIZE), Some(&Requirement::one_of(["large"])));
    assert_eq!((m5.offerings[0].price.0, m5.offerings[0].available), (70_000, true));
}

#[test]
fn mistakes_name_the_type_and_the_field() {
    for (text, expected) in [
        (OWN.replace("\"16\"", "\"many\""), "instance type big: capacity.cpu: 'many'"),
        (OWN.replace("1e-3", "-1"), "instance type big: offerings[2].priceUsdHour: must not be negative"),
        (OWN.replace("\"spot\"", "\"cheap\""), "instance type big: offerings[2].capacityType"),
        (OWN.replace("\"overhead\"", "\"overheat\""), "overheat"),
        (
            KWOK.replace("karpenter.sh/capacity-type", "example.com/other"),
            "instance type m5.large: offerings[0].Requirements: no karpenter.sh/capacity-type",
        ),
        ("{}".to_owned(), "expected a list"),
        ("types".to_owned(), "not JSON"),
        (
            KWOK.replace("[{\n    \"name\"", "[{\"architecture\": 3, \"name\"")
                .replace("\"architecture\": \"amd64\",", ""),
            "architecture",
        ),
    ] {
        let error = parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let twice = format!("[{0}, {0}]", &KWOK[1..KWOK.len() - 1]);
    assert!(parse(&twice).unwrap_err().to_string().contains("twice"));
}
