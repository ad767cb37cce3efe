//! Which pod is the neighbour. Namespaces are needed for pods: without root these say `skipped` and why.

use net::{Netns, socket::SpoofedPorts};
use wire::zds::PodInfo;

use super::*;
use crate::dns;

#[expect(clippy::print_stdout, reason = "a test that cannot run must say so")]
fn pod(service_account: &str) -> Option<Arc<Pod>> {
    let netns = match Netns::current() {
        Ok(netns) => Arc::new(netns),
        Err(error) => {
            println!("skipped: cannot enter a network namespace: {error}");
            return None;
        }
    };
    let info = PodInfo {
        name: "web-0".to_owned(),
        namespace: "shop".to_owned(),
        service_account: service_account.to_owned(),
    };
    let upstream = dns::Upstream {
        netns: None,
        mark: None,
        servers: Arc::new(dns::ResolvConf::new("/etc/resolv.conf")),
    };
    Some(Arc::new(Pod::new(
        "uid".to_owned(),
        info,
        netns,
        SpoofedPorts::default(),
        Arc::new(dns::Resolver::new(upstream, false)),
        1,
        &Arc::default(),
    )))
}

fn neighbours() -> Neighbours {
    Neighbours {
        pods: ArcSwap::default(),
        tally: Arc::default(),
    }
}

fn workload() -> Workload {
    Workload {
        uid: UID.into(),
        service_account: "web".into(),
        ..Workload::default()
    }
}

const UID: &str = "Kubernetes//Pod/shop/web-0";

fn is(found: Option<Arc<Pod>>, pod: &Arc<Pod>) -> bool {
    found.is_some_and(|found| Arc::ptr_eq(&found, pod))
}

#[test]
fn a_pod_is_found_while_it_is_served() {
    let (Some(pod), neighbours) = (pod("web"), neighbours()) else {
        return;
    };
    assert!(neighbours.find(&workload()).is_none());
    neighbours.add(UID.to_owned(), &pod);
    assert!(is(neighbours.find(&workload()), &pod));
    pod.drain();
    assert!(neighbours.find(&workload()).is_none(), "it drains");
    neighbours.remove(UID, &pod);
    assert!(neighbours.pods.load().is_empty());
}

#[test]
fn a_pod_of_another_account_is_not_the_one_that_is_meant() {
    let (Some(pod), neighbours) = (pod("other"), neighbours()) else {
        return;
    };
    neighbours.add(UID.to_owned(), &pod);
    assert!(neighbours.find(&workload()).is_none());
}

#[test]
fn of_two_of_one_name_each_leaves_alone_and_in_any_order() {
    for order in [[0, 1], [1, 0]] {
        let (Some(first), Some(second)) = (pod("web"), pod("web")) else {
            return;
        };
        let neighbours = neighbours();
        neighbours.add(UID.to_owned(), &first);
        neighbours.add(UID.to_owned(), &second);
        assert!(is(neighbours.find(&workload()), &second));
        let pods = [&first, &second];
        let [leaving, staying] = order.map(|index: usize| pods[index]);
        leaving.cut();
        assert!(
            is(neighbours.find(&workload()), staying),
            "one of them is cut"
        );
        neighbours.remove(UID, leaving);
        neighbours.remove(UID, leaving);
        assert!(is(neighbours.find(&workload()), staying));
    }
}

#[test]
fn pods_of_one_name_and_one_namespace_have_numbers_of_their_own() {
    let (Some(first), Some(second)) = (pod("web"), pod("web")) else {
        return;
    };
    assert_ne!(first.serial, second.serial);
}
