//! Contract suite of the bus on real Redis of every kind.

mod backend;
use backend::ServerKind;
use weir_cluster::contract_suite;

mod standalone {
    use super::*;

    contract_suite!(bus:
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        ServerKind::Standalone
    );
}

mod cluster {
    use super::*;

    contract_suite!(bus:
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        ServerKind::Cluster
    );
}

mod sentinel {
    use super::*;

    contract_suite!(bus:
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        ServerKind::Sentinel
    );
}
