// Resources under `test://`.

import { PNG } from './media.mjs';

export const resources = [
  { uri: 'test://static-text', name: 'text', description: 'a text', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'binary', description: 'a picture', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'watched', description: 'a text to watch', mimeType: 'text/plain' },
];

export const templates = [
  { uriTemplate: 'test://template/{id}/data', name: 'template', description: 'data by id', mimeType: 'application/json' },
];

/** The contents behind an address; nothing when there is none. */
export function read(uri) {
  switch (uri) {
    case 'test://static-text':
      return { uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' };
    case 'test://static-binary':
      return { uri, mimeType: 'image/png', blob: PNG };
    case 'test://watched-resource':
      return { uri, mimeType: 'text/plain', text: 'nothing has changed' };
  }
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  const data = { id, templateTest: true, data: `Data for ID: ${id}` };
  return id && { uri, mimeType: 'application/json', text: JSON.stringify(data) };
}
