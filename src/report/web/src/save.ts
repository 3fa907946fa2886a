// Files to the user's disk, without any request.
import { el } from "./dom";

export function saveUrl(name: string, url: string): void {
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

export function saveText(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  saveUrl(name, url);
  URL.revokeObjectURL(url);
}
