// What all connections share: the things that a tool call can change, and word of it when they do.
import { EventEmitter } from 'node:events';

export class World extends EventEmitter {
  constructor() {
    super();
    // One listener for each session.
    this.setMaxListeners(0);
    this.extraTool = false;
    this.extraPrompt = false;
    this.watched = 0;
  }

  changeTools() {
    this.extraTool = !this.extraTool;
    this.emit('tools');
  }

  changePrompts() {
    this.extraPrompt = !this.extraPrompt;
    this.emit('prompts');
  }

  changeResource() {
    this.watched += 1;
    this.emit('resource', WATCHED);
  }
}

export const WATCHED = 'test://watched-resource';
