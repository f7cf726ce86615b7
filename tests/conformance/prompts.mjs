// Prompts: each has a description, the names of its arguments, and what it says.

import { image, text } from './media.mjs';

const user = (content) => ({ role: 'user', content });

export const prompts = {
  test_simple_prompt: {
    description: 'says one thing',
    get: () => ({ messages: [user(text('This is a simple prompt for testing.'))] }),
  },
  test_prompt_with_arguments: {
    description: 'says what it is given',
    arguments: ['arg1', 'arg2'],
    get: ({ arg1, arg2 }) => ({ messages: [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] }),
  },
  test_prompt_with_embedded_resource: {
    description: 'holds a resource',
    arguments: ['resourceUri'],
    get: ({ resourceUri: uri }) => {
      const resource = { uri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' };
      return {
        messages: [user({ type: 'resource', resource }), user(text('Please process the embedded resource above.'))],
      };
    },
  },
  test_prompt_with_image: {
    description: 'holds a picture',
    get: () => ({ messages: [user(image()), user(text('Please analyze the image above.'))] }),
  },
  test_input_required_result_prompt: {
    description: 'asks before it says anything',
    get: (_, { ask, accepted }) => {
      const context = accepted('user_context')?.context;
      if (context) return { messages: [user(text(`With ${context}`))] };
      const requestedSchema = { type: 'object', properties: { context: { type: 'string' } }, required: ['context'] };
      const message = 'What context should the prompt use?';
      return ask({ inputRequests: { user_context: ask.elicit({ message, requestedSchema }) } });
    },
  },
};
