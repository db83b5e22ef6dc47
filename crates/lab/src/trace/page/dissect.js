"use strict";

// Takes a datagram apart, record by record and field by field. Knows DTLS 1.0 and 1.2 (RFC 6347, 4.1
// and 4.2.2) and how the cipher suites lay out what they seal; holds no keys and opens nothing.
const dissect = (() => {
  const HEADER = 13;
  const MESSAGE_HEADER = 12;
  const TYPES = { 20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data", 24: "heartbeat", 25: "tls12_cid" };
  const VERSIONS = { feff: "DTLS 1.0", fefd: "DTLS 1.2", fefc: "DTLS 1.3" };
  const MESSAGES = {
    0: "HelloRequest", 1: "ClientHello", 2: "ServerHello", 3: "HelloVerifyRequest", 4: "NewSessionTicket",
    11: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest", 14: "ServerHelloDone",
    15: "CertificateVerify", 16: "ClientKeyExchange", 20: "Finished",
  };
  const ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 50: "decode_error", 51: "decrypt_error",
    70: "protocol_version", 71: "insufficient_security", 80: "internal_error", 90: "user_canceled", 100: "no_renegotiation",
  };

  // Returns the records of a datagram: each has a title, the fields of its header, and those of its body.
  return (hex, suite) => {
    const bytes = hex.match(/../g) || [];
    const number = (at, length) => parseInt(bytes.slice(at, at + length).join("") || "0", 16);
    const field = (at, length, name, meaning) => ({ at, length, name, meaning, bytes: bytes.slice(at, at + length) });
    const records = [];
    let at = 0;
    while (at < bytes.length) {
      const left = bytes.length - at;
      if (left < HEADER) {
        const rest = field(at, left, "rest", `shorter than the ${HEADER} bytes of a record header`);
        records.push({ title: `${left} bytes that are no record`, header: [], body: [rest] });
        break;
      }
      const type = number(at, 1);
      const version = bytes.slice(at + 1, at + 3).join("");
      const epoch = number(at + 3, 2);
      const length = number(at + 11, 2);
      const header = [
        field(at, 1, "content type", `${type}: ${TYPES[type] || "unknown"}`),
        field(at + 1, 2, "version", VERSIONS[version] || `unknown, 0x${version}`),
        field(at + 3, 2, "epoch", epoch === 0 ? "0: in the clear" : `${epoch}: sealed with the session's keys`),
        field(at + 5, 6, "sequence number", `${number(at + 5, 6)}: 48 bits, counted by the sender`),
        field(at + 11, 2, "length", `${length} bytes follow`),
      ];
      const start = at + HEADER;
      const have = Math.min(length, bytes.length - start);
      let body;
      if (have < length) body = [field(start, have, "body", `cut short: ${have} of ${length} bytes are there`)];
      else if (epoch > 0) body = sealed(start, length, suite, field);
      else if (type === 22) body = messages(start, length, number, field);
      else if (type === 21 && length === 2) body = [alert(start, number, field)];
      else body = [field(start, length, "body", `${length} bytes in the clear`)];
      records.push({ title: `Record at byte ${at}: ${TYPES[type] || "unknown type"}, epoch ${epoch}`, header, body });
      at = start + length;
    }
    return records;
  };

  // The parts of a sealed body lie where the suite puts them (RFC 5246, 6.2.3; RFC 5288, 3; RFC 7905, 2).
  function sealed(start, length, suite, field) {
    const tag = () => field(start + length - 16, 16, "tag", "vouches for header and ciphertext; made with the sender's key");
    if (suite.includes("CHACHA20") && length >= 16) {
      return [field(start, length - 16, "ciphertext", `${length - 16} bytes, as many as the payload; the nonce follows from the number and is not sent`), tag()];
    }
    if ((suite.includes("GCM") || suite === "") && length >= 24) {
      const guess = suite === "" ? ", if the suite is AES-GCM" : "";
      return [
        field(start, 8, "explicit nonce", `with four secret bytes the nonce of AES-GCM${guess}`),
        field(start + 8, length - 24, "ciphertext", `${length - 24} bytes, as many as the payload`),
        tag(),
      ];
    }
    if (suite !== "" && !suite.includes("GCM") && length >= 32) {
      return [
        field(start, 16, "IV", "of the first block of CBC"),
        field(start + 16, length - 16, "ciphertext", `${length - 16} bytes: payload, padding and MAC`),
      ];
    }
    return [field(start, length, "body", `${length} bytes: too few for nonce and tag`)];
  }

  function messages(start, length, number, field) {
    const fields = [];
    let at = start;
    while (at + MESSAGE_HEADER <= start + length) {
      const [whole, order, from, have] = [number(at + 1, 3), number(at + 4, 2), number(at + 6, 3), number(at + 9, 3)];
      const part = have === whole ? `${whole} bytes, whole` : `bytes ${from} to ${from + have} of ${whole}`;
      fields.push(field(at, MESSAGE_HEADER, MESSAGES[number(at, 1)] || `message of type ${number(at, 1)}`, `message ${order} of its sender: ${part}`));
      at += MESSAGE_HEADER + have;
    }
    if (fields.length === 0) fields.push(field(start, length, "body", "too short for a handshake message"));
    return fields;
  }

  function alert(start, number, field) {
    const level = number(start, 1) === 2 ? "fatal" : "warning";
    const what = number(start + 1, 1);
    return field(start, 2, "alert", `${level}: ${ALERTS[what] || what}`);
  }
})();
