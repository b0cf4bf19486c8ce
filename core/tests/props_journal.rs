//! Records: what is written is read back, no bytes make the reader panic, and an image that is
//! written out as records is the same image again.

use halyard_core::journal::{
    DeliveryOp, FORMAT, ForwardOp, Image, Op, Piece, StampOp, for_each_op,
};
use halyard_core::packet::{PacketId, QoS};
use proptest::prelude::*;

fn id(value: u16) -> PacketId {
    PacketId::new(value.max(1)).expect("not 0")
}

fn delivery(
    message: u64,
    qos: u8,
    ids: &[u32],
    group: Option<&'static str>,
) -> DeliveryOp<'static> {
    let qos = QoS::from_bits(qos % 3).expect("0 to 2");
    DeliveryOp {
        message,
        qos,
        retain: message.is_multiple_of(2),
        ids: ids.iter().copied().collect(),
        group,
    }
}

/// One step of any kind that names numbers.
fn op(kind: u8, a: u32, b: u16, c: u64, flag: bool) -> Op<'static> {
    // Sessions are numbered beyond 32 bits, messages up to 48 and the shard.
    let (session, message) = (c, c & 0xFFFF_FFFF_FFFF);
    let stamp: StampOp = (c, b);
    match kind % 14 {
        0 => Op::Put {
            number: message,
            received: c,
            interval: flag.then_some(a),
            body: b"\x01\x01tx",
        },
        1 => Op::Ended { session },
        2 => Op::Subscribed { session, filter: "a/#", options: 2, identifier: a },
        3 => Op::Received { session, id: id(b) },
        4 => Op::Queued { session, delivery: delivery(message, 1, &[a, 7], flag.then_some("g")) },
        5 => Op::Sent { session, id: id(b), delivery: delivery(message, 2, &[], None) },
        6 => Op::Dropped { session, at: a },
        7 => Op::PubrecSeen { session, id: id(b) },
        8 => Op::Retained { topic: "t", message, expires: flag.then_some(c >> 1), stamp },
        9 => Op::Cleared { topic: "t", stamp: flag.then_some(stamp) },
        10 => Op::Forward(ForwardOp {
            to: b,
            seq: c,
            message,
            plain: flag,
            stamp: flag.then_some(stamp),
            groups: vec!["$share/g/a"],
            tried: vec![b, 1],
        }),
        11 => Op::Mark { from: b, seq: c },
        12 => Op::Detached {
            session,
            expiry: a,
            expires: flag.then_some(c >> 1),
            will_due: None,
            has_will: flag,
        },
        _ => Op::Start { epoch: a, shards: b, wall: c, key: c },
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        steps in prop::collection::vec((any::<u8>(), any::<u32>(), any::<u16>(), any::<u64>(), any::<bool>()), 0..20)
    ) {
        let ops: Vec<Op<'_>> = steps.iter().map(|(k, a, b, c, f)| op(*k, *a, *b, *c, *f)).collect();
        let mut batch = vec![FORMAT];
        for op in &ops {
            op.encode(&mut batch);
        }
        let mut read = Vec::new();
        for_each_op(&batch, |op, _| { read.push(op); Ok(()) }).unwrap();
        prop_assert_eq!(read, ops);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        bytes.insert(0, FORMAT);
        let _ = for_each_op(&bytes, |_, _| Ok(()));
        let mut image: Image<Box<[u8]>> = Image::new();
        let _ = image.apply(0, &bytes, |body, _| body.into());
    }
}

#[test]
fn an_image_that_is_written_out_is_the_same_again() {
    let mut image: Image<Box<[u8]>> = Image::new();
    let mut start = vec![FORMAT];
    Op::Start { epoch: 3, shards: 2, wall: 1000, key: 9 }.encode(&mut start);
    image.apply(0, &start, |body, _| body.into()).unwrap();
    let mut batch = vec![FORMAT];
    for op in [
        Op::Put { number: 5, received: 1, interval: Some(9), body: b"\x01\x01tx" },
        Op::Retained { topic: "t", message: 5, expires: None, stamp: (4, 1) },
        Op::Cleared { topic: "u", stamp: Some((3, 1)) },
        Op::Forward(ForwardOp {
            to: 0,
            seq: 8,
            message: 5,
            plain: true,
            stamp: None,
            groups: Vec::new(),
            tried: Vec::new(),
        }),
        Op::Mark { from: 0, seq: 2 },
    ] {
        op.encode(&mut batch);
    }
    image.apply(1, &batch, |body, _| body.into()).unwrap();
    let mut again: Image<Box<[u8]>> = Image::new();
    image
        .write(
            |body| body.len() as u64,
            |shard, piece| {
                let batch = match piece {
                    Piece::Steps(steps) => steps.to_vec(),
                    Piece::Message { head, body } => [head, body].concat(),
                };
                again.apply_part(shard, &batch, |body, _| body.into())
            },
        )
        .unwrap();
    again.sweep();
    assert_eq!(again, image);
}
