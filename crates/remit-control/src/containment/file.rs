//! Certificates that prove themselves: with the entry that holds their digest, and its proof.

use remit_domain::event::EventKind;
use remit_domain::{ContainmentId, RefusalCode};
use remit_ledger::Leaf;
use remit_ledger::certificate::{CertificateFile, Contained, DIGEST, FORMAT, digest};
use remit_ports::store::{EntryFilter, StoredEntry};
use remit_tlog::TlogProof;

use crate::{Caller, Control, ControlError, refuse};

impl Control {
    /// The newest certificate of a containment, as a file that anybody verifies with the ledger's key and without this server.
    ///
    /// # Errors
    /// As [`Control::containment`]; `not-found` while there is no certificate, and for one that was drawn up before entries held its
    /// digest.
    pub async fn certificate_file(
        &self,
        caller: &Caller,
        id: &ContainmentId,
    ) -> Result<CertificateFile, ControlError> {
        self.containment(caller, id).await?;
        let org = &caller.org;
        let found = self.find_containment(org, id).await?.noun;
        let none = |text: &str| refuse(RefusalCode::NotFound, text);
        let certificate = found.certificates.last();
        let certificate = certificate.ok_or_else(|| none("there is no certificate yet"))?;
        let containment = Contained::from(&found);
        let digest = digest(&containment, certificate)
            .map_err(|_| none("the certificate cannot be written"))?;
        let mut filter = EntryFilter {
            kinds: vec![EventKind::ContainmentCertified],
            since: Some(found.at),
            descending: true,
            leaves_only: true,
            ..EntryFilter::default()
        };
        self.books
            .store()
            .flush()
            .await
            .map_err(remit_books::BooksError::from)?;
        loop {
            let page = self.books.store().entries(org, &filter).await;
            let page = page.map_err(remit_books::BooksError::from)?;
            let holds = |entry: &&StoredEntry| {
                let leaf = Leaf::parse(&entry.leaf);
                leaf.is_ok_and(|leaf| {
                    leaf.facts.get(DIGEST).and_then(|v| v.as_str()) == Some(&digest)
                })
            };
            if let Some(entry) = page.iter().find(holds) {
                let index = entry.index;
                let proof = self.books.prove(org, index).await?;
                let (path, note) = (proof.hashes().to_vec(), proof.checkpoint_note().to_owned());
                let whole = TlogProof::new(index, path, note, entry.leaf.clone())
                    .map_err(|_| none("its entry cannot be proved"))?;
                return Ok(CertificateFile {
                    format: FORMAT,
                    containment,
                    certificate: certificate.clone(),
                    proof: whole.encode(),
                });
            }
            match page.last() {
                Some(last) if last.index > 0 => filter.from = last.index,
                _ => return Err(none("no entry holds this certificate's digest")),
            }
        }
    }
}
