//! A map of values and times is the reference.

use super::*;
use crate::base::rng::Rng;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn all(fading: &Fading) -> Model {
    fading.iter().map(|(field, value, time)| (field.to_vec(), (value.to_vec(), time))).collect()
}

#[test]
fn it_does_what_a_map_of_values_and_times_does() {
    for (seed, names) in [(1, 12), (2, 300)] {
        let (mut rng, limits) = (Rng::new(seed), CollectionLimits::default());
        let (mut fading, mut model, mut now) = (Fading::new(Hash::new()), Model::new(), 0i64);
        for _ in 0..6000 {
            let field = format!("f{}", rng.index(names)).into_bytes();
            let time = Some(now + rng.below(400) as i64 + 1);
            match rng.below(8) {
                0..4 => {
                    let value = rng.below(1000).to_string().into_bytes();
                    let keeps = rng.below(2) == 0;
                    let old = model.get(&field).and_then(|held| held.1);
                    let then = if keeps { old } else { time };
                    let change = if keeps { FieldTime::Keep } else { FieldTime::Set(time) };
                    assert_eq!(
                        fading.set(&field, &value, change, &limits),
                        model.insert(field, (value, then)).is_none()
                    );
                }
                4 => assert_eq!(fading.remove(&field), model.remove(&field).is_some()),
                5 => {
                    if let Some(held) = model.get_mut(&field) {
                        held.1 = time.filter(|_| rng.below(2) == 0);
                        fading.set_time(&field, held.1);
                    }
                }
                6 => {
                    now += 20;
                    let mut gone = fading.take_due(now, usize::MAX, &limits);
                    gone.sort();
                    let due: Vec<_> =
                        model.extract_if(.., |_, held| held.1.is_some_and(|at| at <= now)).map(|held| held.0).collect();
                    assert_eq!(gone, due);
                }
                _ => {
                    now += 10;
                    fading.set_aside(now);
                    let shown = model.values().filter(|held| held.1.is_none_or(|at| at > now)).count();
                    assert_eq!((fading.shown().len(), fading.len()), (shown, model.len()));
                    assert_eq!(all(&fading), model);
                    assert_eq!(fading.first_time(), model.values().filter_map(|held| held.1).min());
                    fading.bring_back(&limits);
                }
            }
            assert_eq!(fading.next_due(), model.values().filter_map(|held| held.1).min());
        }
        assert_eq!(all(&fading.clone()), model);
        let times: Vec<_> = fading.iter_by_time().map(|(_, _, time)| time.unwrap_or(i64::MAX)).collect();
        assert!(times.is_sorted() && times.len() == model.len());
    }
}

#[test]
fn moments_are_exact_up_to_the_end_of_all_that_is_asked_for() {
    let mut fading = Fading::new(Hash::new());
    for ms in [0, 1, 70_368_744_177_663, EXACT_MAX] {
        fading.set(b"f", b"v", FieldTime::Set(Some(ms)), &CollectionLimits::default());
        assert_eq!((fading.time(b"f"), fading.next_due()), (Some(ms), Some(ms)));
    }
    fading.set_time(b"f", Some(i64::MAX));
    assert!(fading.time(b"f").is_some_and(|ms| ms > i64::MAX / 2), "as late as can be told");
}
