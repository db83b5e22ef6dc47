//! A report with every outcome in it, for the tests of its forms.

use std::collections::BTreeMap;

use peerbound_lab::prove::{Brief, Check, CheckKind, PROOF_SCHEMA, Proof, ProofOutcome, ProofReport, Totals};

pub(crate) fn report() -> ProofReport {
    let proofs = vec![
        proof("held", "ladder", ProofOutcome::Held, vec![check("record-auth", "record-auth")]),
        proof(
            "wrong",
            "ladder",
            ProofOutcome::DidNotHold,
            vec![check("demux", "record-auth"), check("none", "none")],
        ),
        proof("broken", "loss", ProofOutcome::Failed { reason: "A found no port".to_owned() }, vec![]),
        Proof {
            parameters: BTreeMap::from([("suite".to_owned(), "\"AES128-GCM\"".to_owned())]),
            ..proof(
                "refused",
                "loss",
                ProofOutcome::Refused { reason: "loopback cannot spoof \"192.0.2.9:1\" <step 3>".to_owned() },
                vec![],
            )
        },
    ];
    let totals = Totals::of(&proofs);
    ProofReport {
        schema: PROOF_SCHEMA,
        peerbound: "0.1.0".to_owned(),
        openssl: "OpenSSL 3.0.22 & friends".to_owned(),
        backend: "sim".to_owned(),
        seed: 7,
        suite: None,
        holds: totals.hold(),
        totals,
        proofs,
    }
}

fn proof(name: &str, group: &str, outcome: ProofOutcome, checks: Vec<Check>) -> Proof {
    Proof {
        name: name.to_owned(),
        group: group.to_owned(),
        title: format!("The claim of {name}"),
        clause: "RFC 6347, 4.1.2.7".to_owned(),
        meaning: "What it means.".to_owned(),
        parameters: BTreeMap::new(),
        seed: 7,
        outcome,
        checks,
        trace_hash: None,
        replay: format!("peerbound sim replay {name} --seed 7"),
    }
}

fn check(expected: &str, observed: &str) -> Check {
    Check {
        kind: CheckKind::Expectation,
        expected: format!("reply is dropped at {expected}"),
        observed: format!("dropped at {observed} at A"),
        holds: expected == observed,
        brief: Brief { expected: expected.to_owned(), observed: observed.to_owned() },
    }
}
