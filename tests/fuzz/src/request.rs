//! Requests: whole or in pieces of any size, a stream of bytes means the same.

use super::Choices;
use understudy::resp::request::{Batch, ParseState, ProtocolError, RequestLimits, parse};

const BULK_LEN_MAX: u64 = 1 << 20;

/// The first two bytes choose the limits and the pieces; the rest is what a client sends.
pub fn request(data: &[u8]) {
    let mut choices = Choices(data);
    let (limits, pieces) = (choices.byte(), choices.byte());
    let limits = RequestLimits {
        // Room for a long argument is made on the word of whoever has authenticated, up to this limit.
        bulk_len_max: if limits & 5 != 0 { BULK_LEN_MAX } else { 512 << 20 },
        authenticated: limits & 2 == 0,
        big_arguments: limits & 4 != 0,
    };
    let bytes = choices.0;
    let whole = commands(bytes, bytes.len(), limits);
    let cut = commands(bytes, usize::from(pieces).max(1), limits);
    // A longer piece may show an error earlier, so the commands before it decide.
    assert_eq!(whole.0, cut.0, "in pieces of {pieces}");
    assert_eq!(whole.1, cut.1, "in pieces of {pieces}");
}

type Commands = Vec<Vec<Vec<u8>>>;

/// All commands in `bytes`, read as the server does in pieces of so many bytes.
fn commands(bytes: &[u8], piece: usize, limits: RequestLimits) -> (Commands, Option<ProtocolError>) {
    let (mut state, mut found, mut buffer) = (ParseState::default(), Vec::new(), Vec::new());
    let mut batch = Batch::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let big = state.big_argument();
        let room = big.as_ref().map_or(piece, |(_, lacks)| piece.min(*lacks));
        let (come, later) = rest.split_at(room.min(rest.len()));
        rest = later;
        match big {
            Some((argument, _)) => argument.extend_from_slice(come),
            None => buffer.extend_from_slice(come),
        }
        loop {
            let result = parse(&buffer, &mut state, limits, &mut batch);
            batch.hold(buffer);
            for index in 0..batch.len() {
                let argv = batch.argv(index);
                found.push(argv.iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
                if let Some(raw) = batch.raw(index) {
                    assert_same_again(raw, found.last().unwrap());
                }
                assert!(batch.end(index) <= batch.buffer_len());
            }
            buffer = batch.clear();
            let taken = match result {
                Ok(taken) => taken,
                Err(error) => return (found, Some(error)),
            };
            buffer.drain(..taken);
            // Commands of who has not authenticated are taken one by one.
            if limits.authenticated || taken == 0 {
                break;
            }
        }
        let held = state.memory_bytes();
        assert!(held <= 64 * bytes.len() + 2 * BULK_LEN_MAX as usize, "{held} bytes held");
    }
    (found, None)
}

/// What goes to replicas as it came must read there as it did here.
fn assert_same_again(raw: &[u8], expected: &[Vec<u8>]) {
    let limits = RequestLimits { bulk_len_max: 512 << 20, authenticated: true, big_arguments: false };
    let mut batch = Batch::default();
    let taken = parse(raw, &mut ParseState::default(), limits, &mut batch);
    assert_eq!((taken, batch.len()), (Ok(raw.len()), 1), "{raw:?}");
    batch.hold(raw.to_vec());
    let argv = batch.argv(0);
    assert!(argv.iter().eq(expected.iter().map(Vec::as_slice)), "{raw:?}");
}
