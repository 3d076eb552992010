//! The metrics' text, made for all who ask at the same time, and no oftener than its cost allows.

use std::{
    fmt,
    time::{Duration, Instant},
};

use hyper::body::Bytes;
use tokio::sync::Mutex;

/// It is not made again for so many times as long as it took: however often clients ask, that takes
/// no more than a tenth of a processor.
const RESTS: u32 = 9;

/// The text that was made last.
#[derive(Debug, Default)]
pub(in crate::outputs) struct Page(Mutex<Option<Made>>);

#[derive(Debug)]
struct Made {
    text: Bytes,
    began: Instant,
    rests_until: Instant,
}

impl Page {
    /// A text that is no older than the question, which was asked at that time. May wait.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(in crate::outputs) async fn as_of(
        &self,
        asked: Instant,
        make: impl FnOnce() -> Result<String, fmt::Error>,
    ) -> Result<Bytes, fmt::Error> {
        let mut last = self.0.lock().await;
        if let Some(last) = &*last {
            if last.began >= asked {
                return Ok(last.text.clone());
            }
            tokio::time::sleep_until(last.rests_until.into()).await;
        }
        let began = Instant::now();
        let text = Bytes::from(make()?);
        let took: Duration = began.elapsed();
        *last =
            Some(Made { text: text.clone(), began, rests_until: Instant::now() + took * RESTS });
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn who_asks_at_once_shares_a_text_and_no_text_is_older_than_its_question() {
        const COST: Duration = Duration::from_millis(4);
        let page = Arc::new(Page::default());
        let made = Arc::new(AtomicU32::new(0));
        let ask = || {
            let (page, made) = (Arc::clone(&page), Arc::clone(&made));
            async move {
                let before = made.load(Ordering::SeqCst);
                let make = || {
                    std::thread::sleep(COST);
                    Ok((made.fetch_add(1, Ordering::SeqCst) + 1).to_string())
                };
                let text = page.as_of(Instant::now(), make).await.expect("a text");
                let number: u32 = str::from_utf8(&text).expect("digits").parse().expect("a number");
                assert!(number > before, "the text {number} was there before the question");
            }
        };
        let begin = Instant::now();
        for _ in 0..3 {
            let mut askers = tokio::task::JoinSet::new();
            for _ in 0..1_000 {
                askers.spawn(ask());
            }
            askers.join_all().await;
        }
        let most = begin.elapsed().as_millis() / (COST * (RESTS + 1)).as_millis() + 1;
        let made = made.load(Ordering::SeqCst);
        assert!(u128::from(made) <= most, "made {made} times, {most} are allowed");
    }
}
