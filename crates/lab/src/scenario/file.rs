//! The first stage: TOML of the right shape, as it is typed. Unknown keys are refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScenarioFile {
    #[expect(dead_code, reason = "it is read before everything else, from the table")]
    pub(crate) schema: Value,
    pub(crate) name: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) group: String,
    #[serde(default)]
    pub(crate) clause: String,
    #[serde(default)]
    pub(crate) meaning: String,
    pub(crate) ends: Option<String>,
    #[expect(dead_code, reason = "it is read with the schema, and stands here for its shape")]
    pub(crate) sweep: Option<SweepFile>,
    pub(crate) nodes: Option<Spanned<NodeFile>>,
    #[serde(default)]
    pub(crate) node: Vec<Spanned<NodeFile>>,
    #[serde(default)]
    pub(crate) host: Vec<Spanned<HostFile>>,
    #[serde(default)]
    pub(crate) link: Vec<Spanned<LinkFile>>,
    pub(crate) network: Option<Spanned<ConditionsFile>>,
    pub(crate) mesh: Option<Spanned<MeshFile>>,
    #[serde(default)]
    pub(crate) nat: Vec<Spanned<NatFile>>,
    #[serde(default)]
    pub(crate) listener: Vec<Spanned<ListenerFile>>,
    #[serde(default)]
    pub(crate) fault: Vec<Spanned<FaultFile>>,
    #[serde(default)]
    pub(crate) step: Vec<Spanned<StepFile>>,
    #[serde(default)]
    pub(crate) expect: Vec<Spanned<ExpectFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepFile {
    #[expect(dead_code, reason = "it is read with the schema, and stands here for its shape")]
    pub(crate) seeds: Option<Value>,
    #[serde(default)]
    #[expect(dead_code, reason = "it is read with the schema, and stands here for its shape")]
    pub(crate) parameters: BTreeMap<String, Vec<Value>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeFile {
    pub(crate) name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) suite: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) encrypt_then_mac: Option<bool>,
    pub(crate) renegotiation: Option<String>,
    pub(crate) gate: Option<String>,
    pub(crate) replay_mirror: Option<String>,
    pub(crate) demux: Option<String>,
    pub(crate) routing: Option<String>,
    pub(crate) feasibility: Option<String>,
    pub(crate) first_timeout: Option<String>,
    pub(crate) handshake_deadline: Option<String>,
    pub(crate) attempts: Option<String>,
    pub(crate) mtu: Option<i64>,
    pub(crate) rekey_records: Option<i64>,
    pub(crate) rekey_age: Option<String>,
    pub(crate) socket: Option<String>,
    pub(crate) boot: Option<String>,
    pub(crate) identity: Option<String>,
    pub(crate) e2e: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostFile {
    pub(crate) name: String,
    pub(crate) address: Option<String>,
    pub(crate) forwards: Option<Vec<String>>,
    pub(crate) record_model: Option<RecordModelFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordModelFile {
    #[serde(default)]
    pub(crate) dials: Vec<String>,
    pub(crate) id: Option<bool>,
    pub(crate) address_check: Option<String>,
    pub(crate) patience: Option<String>,
}

/// Declares a table that has the keys of a path's conditions among its own; serde's `flatten` would
/// let unknown keys pass.
macro_rules! with_conditions {
    (struct $name:ident { $($field:ident: $type:ty,)* }) => {
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $(pub(crate) $field: $type,)*
            pub(crate) latency: Option<String>,
            pub(crate) jitter: Option<String>,
            pub(crate) loss: Option<f64>,
            pub(crate) bursts: Option<BurstsFile>,
            pub(crate) duplicate: Option<f64>,
            pub(crate) reorder: Option<f64>,
            pub(crate) rate: Option<String>,
            pub(crate) queue: Option<i64>,
            pub(crate) mtu: Option<i64>,
            pub(crate) icmp: Option<bool>,
            pub(crate) up: Option<bool>,
        }

        impl $name {
            /// Returns the conditions alone.
            pub(crate) fn conditions(&self) -> ConditionsFile {
                ConditionsFile {
                    latency: self.latency.clone(),
                    jitter: self.jitter.clone(),
                    loss: self.loss,
                    bursts: self.bursts,
                    duplicate: self.duplicate,
                    reorder: self.reorder,
                    rate: self.rate.clone(),
                    queue: self.queue,
                    mtu: self.mtu,
                    icmp: self.icmp,
                    up: self.up,
                }
            }
        }
    };
}

with_conditions! { struct ConditionsFile {} }

/// Two names, and no third: an array of fixed length would take what is too much without a word.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(crate) struct TwoEnds(pub(crate) [String; 2]);

impl TryFrom<Vec<String>> for TwoEnds {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        let ends = names.try_into();
        ends.map(Self).map_err(|names: Vec<_>| {
            format!("a link has two ends, and here are {}: write [\"A\", \"B\"]", names.len())
        })
    }
}

with_conditions! {
    struct LinkFile {
        between: TwoEnds,
        dials: Option<String>,
        admits: Option<String>,
        through: Option<String>,
        forth: Option<ConditionsFile>,
        back: Option<ConditionsFile>,
    }
}

with_conditions! {
    struct LinkChangeFile {
        between: TwoEnds,
        forth: Option<ConditionsFile>,
        back: Option<ConditionsFile>,
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BurstsFile {
    pub(crate) enter: f64,
    pub(crate) leave: f64,
    #[serde(default)]
    pub(crate) loss_good: f64,
    pub(crate) loss_bad: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeshFile {
    pub(crate) nodes: i64,
    pub(crate) degree: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NatFile {
    pub(crate) name: String,
    pub(crate) in_front_of: Vec<String>,
    pub(crate) address: Option<String>,
    pub(crate) mapping: Option<String>,
    pub(crate) filtering: Option<String>,
    #[serde(default)]
    pub(crate) hairpin: bool,
    pub(crate) timeout: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenerFile {
    pub(crate) on: String,
    #[serde(rename = "as")]
    pub(crate) label: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MatchFile {
    pub(crate) handshake: Option<String>,
    pub(crate) record: Option<String>,
    pub(crate) epoch: Option<i64>,
    pub(crate) nth: Option<i64>,
    pub(crate) from: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) flight: Option<i64>,
    pub(crate) by: Option<String>,
    pub(crate) bit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultFile {
    #[serde(default)]
    pub(crate) when: Table,
    pub(crate) on: String,
    pub(crate) drop: Option<MatchFile>,
    pub(crate) duplicate: Option<MatchFile>,
    pub(crate) delay: Option<MatchFile>,
    pub(crate) corrupt: Option<MatchFile>,
    pub(crate) reorder: Option<MatchFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepFile {
    #[serde(default)]
    pub(crate) when: Table,
    pub(crate) at: Option<String>,
    pub(crate) on: Option<String>,
    pub(crate) send: Option<SendFile>,
    pub(crate) ping: Option<PingFile>,
    pub(crate) talk: Option<TalkFile>,
    pub(crate) seal: Option<SealFile>,
    pub(crate) forge: Option<ForgeFile>,
    pub(crate) capture: Option<CaptureFile>,
    pub(crate) release: Option<String>,
    pub(crate) inject: Option<InjectFile>,
    pub(crate) boot: Option<String>,
    pub(crate) crash: Option<String>,
    pub(crate) restart: Option<String>,
    pub(crate) shutdown: Option<String>,
    pub(crate) rebind: Option<String>,
    pub(crate) link: Option<LinkChangeFile>,
    pub(crate) renegotiate: Option<TwoFile>,
    pub(crate) rekey: Option<TwoFile>,
    pub(crate) wait: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendFile {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) payload: Option<String>,
    pub(crate) payload_bytes: Option<i64>,
    #[serde(default)]
    pub(crate) reply: bool,
    pub(crate) count: Option<i64>,
    pub(crate) until_past: Option<String>,
    pub(crate) records: Option<i64>,
    #[serde(rename = "as")]
    pub(crate) label: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PingFile {
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(rename = "as")]
    pub(crate) label: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TalkFile {
    pub(crate) pairs: i64,
    pub(crate) tries: Option<i64>,
    #[serde(rename = "as")]
    pub(crate) label: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SealFile {
    pub(crate) by: String,
    pub(crate) to: String,
    pub(crate) payload: Option<String>,
    pub(crate) payload_bytes: Option<i64>,
    #[serde(default)]
    pub(crate) reply: bool,
    pub(crate) keys: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) sequence: Option<Value>,
    #[serde(rename = "as")]
    pub(crate) label: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgeFile {
    #[serde(rename = "type")]
    pub(crate) content_type: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) epoch: Option<i64>,
    pub(crate) sequence: Option<Value>,
    pub(crate) body: Option<String>,
    pub(crate) random: Option<i64>,
    pub(crate) handshake: Option<String>,
    #[serde(rename = "as")]
    pub(crate) label: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureFile {
    pub(crate) on: String,
    #[serde(rename = "match", default)]
    pub(crate) which: MatchFile,
    #[serde(default)]
    pub(crate) hold: bool,
    #[serde(rename = "as")]
    pub(crate) label: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InjectFile {
    pub(crate) datagram: String,
    pub(crate) to: String,
    pub(crate) source: String,
    pub(crate) by: Option<String>,
    pub(crate) times: Option<i64>,
    pub(crate) set_sequence: Option<Value>,
    pub(crate) set_epoch: Option<i64>,
    pub(crate) flip_bit: Option<i64>,
    pub(crate) truncate: Option<i64>,
    #[serde(rename = "as")]
    pub(crate) label: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TwoFile {
    pub(crate) by: String,
    pub(crate) with: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectFile {
    #[serde(default)]
    pub(crate) when: Table,
    pub(crate) datagram: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) talk: Option<String>,
    pub(crate) wire: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) told: Option<String>,
    pub(crate) ratio: Option<String>,
    pub(crate) reachable: Option<String>,
    pub(crate) broken: Option<String>,
    pub(crate) at: Option<String>,
    pub(crate) lock: Option<String>,
    pub(crate) read_by: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) sealed_by: Option<String>,
    pub(crate) is: Option<String>,
    pub(crate) delivered_at: Option<String>,
    pub(crate) undelivered: Option<bool>,
    pub(crate) readable_by: Option<String>,
    pub(crate) unreadable_by: Option<String>,
    pub(crate) path: Option<Vec<String>>,
    #[serde(rename = "match")]
    pub(crate) pattern: Option<MatchFile>,
    pub(crate) count: Option<i64>,
    pub(crate) at_least: Option<Value>,
    pub(crate) at_most: Option<Value>,
    pub(crate) from: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) error: Option<String>,
}
