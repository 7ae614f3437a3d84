//! `math.random` and `math.randomseed`: the 48-bit generator of the C library (`lrand48`). As in stock it begins with the
//! same state in every server and goes on from script to script.

use super::Host;
use crate::base::lua::{Raise, Stack};

/// The generator.
#[derive(Clone, Copy, Debug)]
pub struct Prng(u64);

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const ADDEND: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
const MAX: f64 = 2_147_483_647.0;

impl Default for Prng {
    fn default() -> Self {
        Prng(0x1234_ABCD_330E)
    }
}

impl Prng {
    fn new(seed: i32) -> Self {
        Prng(u64::from(seed as u32) << 16 | 0x330E)
    }

    /// The next number, of 31 bits.
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(ADDEND) & MASK;
        (self.0 >> 17) as u32
    }

    /// The next number from 0 up to but not 1.
    fn fraction(&mut self) -> f64 {
        f64::from(self.next() % MAX as u32) / MAX
    }
}

/// Puts the functions into the table `math` of the table on top.
pub fn register<S: Host>(stack: &mut Stack<'_>) {
    stack.raw_get_field(-1, "math");
    stack.set_native(-1, "random", random::<S>);
    stack.set_native(-1, "randomseed", randomseed::<S>);
    stack.pop(1);
}

fn random<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let fraction = stack.with_host(|host: &mut S, _| host.scripts().prng.fraction())?;
    let bound = |stack: &Stack<'_>, index| stack.check_integer(index).map(|number| f64::from(number as i32));
    let number = match stack.top() {
        0 => fraction,
        1 => {
            let upper = bound(stack, 1)?;
            if upper < 1.0 {
                return Err(Raise::argument(1, "interval is empty"));
            }
            (fraction * upper).floor() + 1.0
        }
        2 => {
            let (lower, upper) = (bound(stack, 1)?, bound(stack, 2)?);
            if lower > upper {
                return Err(Raise::argument(2, "interval is empty"));
            }
            (fraction * (upper - lower + 1.0)).floor() + lower
        }
        _ => return Err(Raise::error("wrong number of arguments")),
    };
    stack.push_number(number);
    Ok(1)
}

fn randomseed<S: Host>(stack: &mut Stack<'_>) -> Result<usize, Raise> {
    let seed = stack.check_integer(1)? as i32;
    stack.with_host(|host: &mut S, _| host.scripts().prng = Prng::new(seed))?;
    Ok(0)
}
