// SPDX-License-Identifier: Apache-2.0 OR MIT

use super::*;
use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};

fn node(name: &str, properties: &[(&str, &[u8])], children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(name).expect("a legal name");
    for (name, value) in properties {
        node.add_property(DeviceTreeProperty::new(*name, *value).expect("a legal name"));
    }
    children.into_iter().for_each(|child| node.add_child(child));
    node
}

/// A GPIO controller with the given phandle, and a disabled bus whose child refers to its pin 25.
fn sample(phandle: u8) -> Vec<u8> {
    let gpio = node("gpio@1", &[("phandle", &[0, 0, 0, phandle])], vec![]);
    let reset: [u8; 12] = [0, 0, 0, phandle, 0, 0, 0, 25, 0, 0, 0, 0];
    let device = node("dev@2", &[("reset-gpios", &reset), ("names", b"a\0b\0")], vec![]);
    let bus = node("bus", &[("status", b"disabled\0"), ("interrupt-parent", &reset[..4])], vec![device]);
    let fixups = vec![node(
        "bus",
        &[("interrupt-parent", &[0; 4])],
        vec![node("dev@2", &[("reset-gpios", &[0; 4])], vec![])],
    )];
    let mut tree = DeviceTree::new();
    tree.root.add_child(gpio);
    tree.root.add_child(bus);
    tree.root.add_child(node("__symbols__", &[("gpio3", b"/gpio@1\0"), ("bus", b"/bus\0")], vec![]));
    tree.root.add_child(node("__local_fixups__", &[], fixups));
    tree.to_dtb()
}

#[test]
fn references_are_paths_whatever_the_numbers() {
    let dt = Dt::parse(&sample(1)).expect("a tree");
    assert_eq!(dt, Dt::parse(&sample(7)).expect("the same with other phandles"));
    let found: Vec<_> = dt.references().map(|r| (r.from, r.property, r.to)).collect();
    assert_eq!(
        found,
        [("/bus", "interrupt-parent", "/gpio@1"), ("/bus/dev@2", "reset-gpios", "/gpio@1")],
        "in the order of paths"
    );
    assert_eq!(dt.interrupt_parent("/bus/dev@2"), Some("/gpio@1"));
    assert_eq!(dt.interrupt_parent("/gpio@1"), None);
    let value = dt.property("/bus/dev@2", "reset-gpios").expect("there");
    assert_eq!(dt.show(value), "<&gpio3 0x19 0>");
    assert_eq!(dt.show(dt.property("/bus/dev@2", "names").expect("there")), "\"a\", \"b\"");
}

#[test]
fn a_child_of_a_disabled_node_is_disabled() {
    let dt = Dt::parse(&sample(1)).expect("a tree");
    let enabled: Vec<_> = dt.nodes().filter(|(_, n)| n.enabled).map(|(path, _)| path).collect();
    assert_eq!(enabled, ["/", "/gpio@1"], "without what dtc adds");
    assert_eq!((parent("/"), parent("/bus"), parent("/bus/dev@2")), (None, Some("/"), Some("/bus")));
}

#[test]
fn places_and_expectations() {
    let dt = Dt::parse(&sample(1)).expect("a tree");
    assert_eq!(dt.resolve("&bus/dev@2").as_deref(), Some("/bus/dev@2"));
    assert_eq!(dt.resolve("/chosen").as_deref(), Some("/chosen"));
    assert_eq!(dt.resolve("&nothing"), None);
    let value = |text: &str| match parse_expected(text, &dt).expect(text) {
        Expected::Value(value) => value,
        other => panic!("{other:?}"),
    };
    let reset = dt.property("/bus/dev@2", "reset-gpios").expect("there");
    assert_eq!(&value("<&gpio3 RK_PD1 GPIO_ACTIVE_HIGH>"), reset);
    assert_ne!(&value("<&gpio3 RK_PD2 GPIO_ACTIVE_HIGH>"), reset);
    assert_ne!(&value("<&bus RK_PD1 GPIO_ACTIVE_HIGH>"), reset);
    assert_eq!(&value("\"a\", \"b\""), dt.property("/bus/dev@2", "names").expect("there"));
    assert_eq!(value("\"a,b\", \"c\"").strings(), Some(vec!["a,b", "c"]));
    assert_eq!(value("&gpio3").string(), Some("/gpio@1"));
    assert_eq!(value("set"), Value::new(&[]));
    assert_eq!(value("<0x42>").cells(), Some(vec![0x42]));
    assert_eq!(parse_expected("absent", &dt), Ok(Expected::Absent));
    assert_eq!(parse_expected("present", &dt), Ok(Expected::Present));
}

#[test]
fn must_fail_texts_without_meaning() {
    let dt = Dt::parse(&sample(1)).expect("a tree");
    assert_eq!(parse_expected("<&gpio9 0>", &dt), Err(TextError::Label("gpio9".to_owned())));
    assert_eq!(parse_expected("<RK_PE1>", &dt), Err(TextError::Word("RK_PE1".to_owned())));
    assert_eq!(parse_expected("<0xg>", &dt), Err(TextError::Word("0xg".to_owned())));
    assert!(matches!(parse_expected("okay", &dt), Err(TextError::Form(_))));
}

#[test]
fn must_fail_references_that_do_not_fit() {
    let bytes = sample(1);
    // The offset of `reset-gpios` in the list of references is the last cell of zeros in the structure.
    let at = bytes.windows(8).rposition(|w| w[..4] == [0, 0, 0, 4] && w[4..] != [0; 4]).expect("a size") + 8;
    let mut past = bytes.clone();
    past[at..at + 4].copy_from_slice(&64_u32.to_be_bytes());
    assert!(matches!(Dt::parse(&past), Err(Error::Damaged(why)) if why.contains("past the end")));
}
